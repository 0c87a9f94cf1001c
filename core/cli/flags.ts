/** The flags of each command, as program.ts reads them. */

/** The flags that stand before or after any command. */
export interface GlobalFlags {
  readonly verbose?: true;
  readonly quiet?: true;
  readonly logFormat: 'text' | 'json';
  readonly plugin?: readonly string[];
}

/** The options of a literal sink (`exec:`), which its address cannot hold. */
export interface CommandFlags {
  readonly user?: string;
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly handoff?: string;
  readonly onAbort?: string;
}

export interface LinkFlags extends GlobalFlags, CommandFlags {
  /** Where the identities that `allow` names are. */
  readonly config?: string;
  /** `NAME=SINK`. */
  readonly service?: readonly string[];
  readonly allow?: readonly string[];
  readonly idle?: number;
  readonly once?: true;
}

export interface TunnelFlags extends GlobalFlags {
  readonly config?: string;
  /** `NAME=SINK`. */
  readonly serve?: readonly string[];
  /** `SOURCE=NAME`. */
  readonly open?: readonly string[];
  readonly run?: string;
  readonly takeOver?: true;
}

export interface TransportsFlags extends GlobalFlags {
  readonly json?: true;
}

export interface ConfigFlags extends GlobalFlags {
  readonly config?: string;
}

export interface AuthorizeFlags extends ConfigFlags {
  /** Links whose `allow` gets the name. */
  readonly link?: readonly string[];
  /** Tunnels that listen, whose `allow` gets the name. */
  readonly tunnel?: readonly string[];
  readonly certificate?: true;
  /** A certificate request of the client's. */
  readonly request?: string;
  readonly days?: number;
  /** Where the secret goes; `-` is standard output. */
  readonly out?: string;
  readonly replace?: true;
}

export interface CheckFlags extends ConfigFlags {
  readonly schema?: true;
  readonly access?: true;
}

export interface PluginNewFlags {
  readonly layer?: true;
}

export interface PluginCheckFlags {
  /** Where it listens; for a layer, its options in a source. */
  readonly source?: string;
  readonly sink?: string;
}

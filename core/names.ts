/** Names of the configuration. Pure. */

/** Of identities, links and tunnels: it has no slash, begins with a letter or digit, and leads nowhere. */
export const NAME = /^[a-z0-9](?!.*\.\.)[a-z0-9._-]{0,62}$/;

/** Of services. The same as the session's own rule (session/open-request.ts), which is part of its protocol. */
export const SERVICE = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/;

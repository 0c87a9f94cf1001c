/** The wire that misbehaves is part of the suite that plugins run, so that their authors have it too. */
export * from '../../compliance/chaos.ts';

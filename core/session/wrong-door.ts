/** For a person, or a program of another kind, that has come to the wrong door. */
export const WRONG_DOOR = 'this address speaks the sluice session; dial it with a sluice, session=yes\n';

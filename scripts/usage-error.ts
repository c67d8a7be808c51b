/** A mistake of the person at the terminal: printed as one line, exit code 2. */
export class UsageError extends Error {}

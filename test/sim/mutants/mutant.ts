/** A deliberate bug: a patch of one place in the sources, and what is to find it. */
export interface Mutant {
  readonly bug: string
  readonly file: string
  /** Is in the file exactly once. */
  readonly find: string
  readonly replace: string
  /** Whose seeds are run until one fails, or `scripts`; `all` unless told. */
  readonly scenario?: string
}

/** @returns the source with the bug; undefined where the patch does not fit any more */
export const patched = (source: string, { find, replace }: Mutant): string | undefined => {
  const [before, after, ...more] = source.split(find)
  return before === undefined || after === undefined || more.length > 0 ? undefined : `${before}${replace}${after}`
}

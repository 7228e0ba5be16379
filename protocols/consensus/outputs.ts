/** What several steps of the core ask for, as few writes. Pure. */
import type { Output } from './raft.ts'

/** Entries of `next` may be written together with those of `last`. */
const follows = (last: Output, next: Output): boolean => {
  const first = next.entries[0]?.index
  const end = last.entries.at(-1)?.index
  return next.snapshot === undefined && (first === undefined || end === undefined || first === end + 1)
}

/**
 * Outputs of steps that followed one another, joined as far as nothing stands between them: a snapshot, or entries that
 * take the place of those before. What leaves a node still leaves after everything that it rests on was written.
 */
export const merged = (outputs: readonly Output[]): Output[] => {
  const all: Output[] = []
  for (const output of outputs) {
    const last = all.at(-1)
    if (last === undefined || !follows(last, output)) {
      all.push({ ...output })
      continue
    }
    last.hardState = output.hardState ?? last.hardState
    last.entries = [...last.entries, ...output.entries]
    last.committed = [...last.committed, ...output.committed]
    last.reads = [...last.reads, ...output.reads]
    last.messages = [...last.messages, ...output.messages]
  }
  return all
}

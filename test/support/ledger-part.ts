/** A part that keeps rows on the disk of each voter, for golden data directories. What it keeps never changes its form. */
import { z } from 'zod'
import { definePart } from '../../protocols/define-part.ts'
import { defineJournalCommand } from '../../protocols/journal/state/command-kind.ts'
import { type Loading, partPrefix } from '../../protocols/part.ts'

const NAME = 'golden/ledger'
export const LEDGER = `${partPrefix(NAME)}lines`
const ROW_CHARS = 1_000
const rowKey = (n: number): string => String(n).padStart(4, '0')

export const writeLine = defineJournalCommand({
  name: `${NAME}.write`,
  level: 1,
  input: z.object({ n: z.int().nonnegative() }),
  output: z.null(),
  rows: ({ n }) => [{ collection: LEDGER, key: rowKey(n) }],
  apply(tx, { n }) {
    tx.collection(LEDGER).put(rowKey(n), { n, text: 'l'.repeat(ROW_CHARS) })
    return null
  },
})

export const ledger = definePart({
  name: NAME,
  description: 'Keeps lines.',
  journal: { level: 1, maxBytes: 10_000, maxCollectionBytes: 1_000_000, kinds: [writeLine] },
  load: async (): Loading<undefined> => ({ default: { start: () => ({ api: undefined }) } }),
})

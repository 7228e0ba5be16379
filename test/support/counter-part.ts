/** A part as others write them, for tests: it counts in the journal, answers calls, and shows what it did. */
import { z } from 'zod'
import { defineProtocol } from '../../protocols/define.ts'
import { definePart } from '../../protocols/define-part.ts'
import { defineJournalCommand } from '../../protocols/journal/state/command-kind.ts'
import { answers, implementPart, type Loading, partPrefix } from '../../protocols/part.ts'
import { tokens } from '../../protocols/tokens.ts'

const TOTAL = `${partPrefix('acme/counter')}total`
const Total = z.int().nonnegative()

export const addCommand = defineJournalCommand({
  name: 'acme/counter.add',
  level: 1,
  input: z.object({ by: z.int().positive() }),
  output: Total,
  apply(journal, { by }) {
    const total = Number(journal.get(TOTAL) ?? 0) + by
    journal.put(TOTAL, total)
    return total
  },
})

export const counterProtocol = defineProtocol({
  name: 'acme-counter',
  version: '1.0.0',
  methods: {
    add: { request: z.object({ by: z.int().positive() }), response: z.object({ total: Total }), timeoutMs: 10_000 },
    total: { request: z.object({}), response: z.object({ total: Total }), idempotent: true },
  },
})

export interface Counter {
  add(by: number): Promise<number>
  total(): Promise<number>
}

export const counter = definePart({
  name: 'acme/counter',
  description: 'Counts, once for all.',
  needs: { journal: tokens.journal },
  options: z.strictObject({ most: z.int().default(1_000) }),
  protocols: [counterProtocol],
  journal: { level: 1, maxBytes: 10_000, kinds: [addCommand] },
  figures: { added_total: { kind: 'counter', help: 'What was added here' } },
  views: { total: { title: 'Total', form: 'table' } },
  load: async (): Loading<Counter> => ({ default: implementation }),
})

const implementation = implementPart<typeof counter>({
  start({ journal }, { most }) {
    let added = 0
    const api: Counter = {
      async add(by) {
        const { result } = await journal.submit(addCommand, { by: Math.min(by, most) }, { timeoutMs: 5_000 })
        added += by
        return result
      },
      total: async () => Number((await journal.get(TOTAL, { timeoutMs: 5_000 }))?.value ?? 0),
    }
    return {
      api,
      handlers: [
        answers(counterProtocol, {
          add: async ({ by }) => ({ total: await api.add(by) }),
          total: async () => ({ total: await api.total() }),
        }),
      ],
      figures: () => ({ added_total: added }),
      views: { total: async () => ({ columns: ['total'], rows: [[await api.total()]] }) },
    }
  },
})

/**
 * What the nodes of a crash run decide and tell: a command that counts how often it was applied, directives of whoever
 * coordinates, and the protocol of the one who receives them. Pure.
 */
import * as z from 'zod'
import { defineProtocol } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { FenceSchema } from '../../protocols/journal/fencing/fence.ts'
import { defineJournalCommand } from '../../protocols/journal/state/command-kind.ts'

export const WRITES = 'write/'
export const NOTES = 'note/'
export const COUNTER = 'counter'
const DIRECTIVE = 'directive'
/** Of the fences that the receiver keeps. */
export const SCOPE = 'crash'

/** Counts how often each id was applied: what is applied twice is seen in the record, and in the answer. */
export const noteCommand = defineJournalCommand({
  name: 'crash.note',
  level: 1,
  input: z.object({ id: z.string().min(1).max(64) }),
  output: z.object({ times: z.int() }),
  apply(tx, { id }) {
    const before = tx.get(`${NOTES}${id}`)
    const times = (typeof before === 'number' ? before : 0) + 1
    tx.put(`${NOTES}${id}`, times)
    return { times }
  },
})

/**
 * What a coordinator has decided. It names the epoch that it acts in: the journal takes commands from anyone, so one that
 * was replaced and does not know it yet would else have its directive decided by the next one, with a new fence.
 */
export const directCommand = defineJournalCommand({
  name: 'crash.direct',
  level: 1,
  input: z.object({ epoch: z.int() }),
  output: z.object({ count: z.int() }),
  apply(tx, { epoch }, { fence }) {
    if (fence.term !== epoch)
      throw new ParleyError('STA002', `epoch ${epoch} is over, it is ${fence.term} now`, {
        hint: 'another node coordinates',
      })
    const before = tx.get(DIRECTIVE)
    const count = (typeof before === 'number' ? before : 0) + 1
    tx.put(DIRECTIVE, count)
    return { count }
  },
})

export const receiverProtocol = defineProtocol({
  name: 'crash-receiver',
  version: '1.0.0',
  methods: {
    take: {
      description: 'Carry out a directive, unless a newer one was seen',
      request: z.object({
        epoch: z.int(),
        fence: FenceSchema,
        /** It was decided before its sender stood still, and sent after that. */
        late: z.boolean(),
      }),
      response: z.object({}),
      timeoutMs: 2_000,
    },
  },
})

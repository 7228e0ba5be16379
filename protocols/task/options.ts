/** Options of tasks. */
import * as z from 'zod'

const DAY_MS = 86_400_000

export const TaskOptions = z.strictObject({
  retainMs: z
    .int()
    .min(1_000)
    .max(30 * DAY_MS)
    .default(DAY_MS)
    .describe('Milliseconds that what final tasks left is kept: result, error, metadata. The coordinator decides it.'),
  holderAwayMs: z
    .int()
    .min(1_000)
    .max(DAY_MS)
    .default(60_000)
    .describe(
      'Milliseconds that a node which holds large values of tasks may be away: then copies are made elsewhere, and a value of which all holders are away counts as lost.',
    ),
})

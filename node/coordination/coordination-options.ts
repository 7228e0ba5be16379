/** The options of createMesh that are about who coordinates. Pure. */
import * as z from 'zod'
import type { AnyCommandKind } from '../../protocols/journal/state/command-kind.ts'

const DAY_MS = 86_400_000
const MAX_FOUNDERS = 64

const isKind = (value: unknown): value is AnyCommandKind =>
  typeof value === 'object' &&
  value !== null &&
  /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$/.test(String(Reflect.get(value, 'name'))) &&
  Number.isInteger(Reflect.get(value, 'level')) &&
  typeof Reflect.get(value, 'apply') === 'function'

export const CoordinationOptions = z.strictObject({
  expect: z
    .int()
    .min(1)
    .max(MAX_FOUNDERS)
    .optional()
    .describe(
      'How many nodes found the mesh together; the same number on each of them, and more than half of those that start together. They need a data directory. Nodes that join later need no number.',
    ),
  voter: z
    .enum(['auto', 'never'])
    .default('auto')
    .describe(
      'Whether this node may vote. auto: where it has a data directory. never: for nodes whose disk or event loop is not to be relied on; it uses the journal all the same.',
    ),
  stableMs: z
    .int()
    .min(100)
    .max(DAY_MS)
    .default(10_000)
    .describe('Milliseconds that a newcomer must have kept up before it votes.'),
  replaceAfterMs: z
    .int()
    .min(1_000)
    .max(7 * DAY_MS)
    .default(600_000)
    .describe(
      'Milliseconds of silence after which a voter is replaced by a newcomer that has kept up. Above any restart.',
    ),
  snapshotEvery: z
    .int()
    .min(10)
    .max(1_000_000)
    .default(30_000)
    .describe(
      'Decisions after which a snapshot is taken; 16 MiB of them are enough too. Fewer: a shorter start, more writing.',
    ),
  commands: z
    .array(z.custom<AnyCommandKind>(isKind, 'use what defineCommand returns, named as in order.take'))
    .max(256)
    .default([])
    .describe('Commands of your own that the journal decides; the same ones on every node that may vote.'),
})
export type CoordinationSettings = z.output<typeof CoordinationOptions>

/** The messages that simulated programs send each other, and the keys under which they keep what they did. Pure. */
import * as z from 'zod'
import { defineMessage } from '../../../protocols/delivery/define-message.ts'
import { STATE } from '../../../protocols/delivery/store/delivery-rows.ts'
import { decodePayload } from '../../../protocols/wire/payload/payload.ts'

/** Of a message, by the simulation's own count. */
const Id = z.int().min(1)

export const Work = defineMessage({
  type: 'sim.work',
  version: '1.0.0',
  schema: z.object({
    id: Id,
    /** Who sent it, and in which conversation at which place. */
    from: z.string(),
    conversation: z.string().optional(),
    place: z.int().nonnegative(),
    /** The handler changes what it keeps. */
    keeps: z.boolean(),
    /** The handler answers within its transaction. */
    answers: z.boolean(),
    /** The handler has an outside effect. */
    acts: z.boolean(),
    /** So large that bounds in bytes are met. */
    filling: z.string(),
  }),
})
export type WorkData = z.output<typeof Work.schema>

export const Answered = defineMessage({
  type: 'sim.answered',
  version: '1.0.0',
  schema: z.object({ id: Id, of: Id }),
})

/** Moves something from one node's accounts to those of another. */
export const Transfer = defineMessage({
  type: 'sim.transfer',
  version: '1.0.0',
  schema: z.object({ id: Id, account: z.int().min(0), amount: z.int() }),
})

export const Fired = defineMessage({ type: 'sim.fired', version: '1.0.0', schema: z.object({ id: Id }) })

export const ACCOUNTS = 3
export const accountKey = (account: number): string => `account/${account}`
/** How often the message had its effect. */
export const seenKey = (id: number): string => `seen/${id}`
/** Places of the messages of a conversation, in the order in which they had their effect. */
export const conversationKey = (from: string, conversation: string): string => `order/${from}/${conversation}`
/** Begins the names of conversations with whoever offers it. */
export const ANYBODY = 'any'
/** Many messages change one of these. */
export const BUCKETS = 2
export const bucketKey = (id: number): string => `bucket/${id % BUCKETS}`

/** What is kept under a key, in rows as they are on a disk. */
export const keptIn = (rows: ReadonlyMap<string, Uint8Array>, key: string): unknown => {
  const bytes = rows.get(STATE + key)
  return bytes === undefined ? undefined : decodePayload('cbor', bytes)
}

export const keysOf = (rows: ReadonlyMap<string, Uint8Array>, prefix: string): string[] =>
  [...rows.keys()].filter((key) => key.startsWith(STATE + prefix)).map((key) => key.slice(STATE.length))

export const countOf = (value: unknown): number => (typeof value === 'number' ? value : 0)

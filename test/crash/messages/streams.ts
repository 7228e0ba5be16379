/**
 * What is sent in a crash run of messages, all of it told by the name of a stream and a number in it, so that both sides and
 * the judge know what was to happen without asking each other. Pure.
 *
 * A stream is `<sender>-<phase>.<kind><index>`, a reply stream `<replier>.r.<stream>`. Where the order counts, the stream is
 * a conversation.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { defineMessage } from '../../../protocols/delivery/define-message.ts'
import type { Priority } from '../../../protocols/wire/envelope.ts'

export const Item = defineMessage({
  type: 'crash.item',
  version: '1.0.0',
  schema: z.object({
    stream: z.string(),
    n: z.int(),
    amount: z.int(),
    /** Attempts that fail. */
    fails: z.int(),
    /** Milliseconds that the work takes. */
    ms: z.int(),
    hasEffect: z.boolean(),
    wantsReply: z.boolean(),
    pad: z.string(),
  }),
})
export type Item = z.output<typeof Item.schema>

export interface Kind {
  /** How the sender knows what it sent: its own transaction, or the receipt. */
  readonly by: 'change' | 'send'
  readonly isOrdered: boolean
  /** Where the receiver notes it: its transaction, or a file of its own, as a handler does that uses none. */
  readonly record: 'tx' | 'file'
  readonly to: 'one' | 'list' | 'sender'
  readonly count: number
  /** Of all that is sent, by parts. */
  readonly weight: number
  readonly hasReplies?: boolean
  readonly isDoomed?: boolean
}

/** 44 conversations, and 20 streams whose order does not count. */
export const KINDS = {
  c: { by: 'change', isOrdered: true, record: 'tx', to: 'one', count: 24, weight: 40 },
  w: { by: 'change', isOrdered: true, record: 'tx', to: 'one', count: 4, weight: 8, hasReplies: true },
  u: { by: 'change', isOrdered: false, record: 'tx', to: 'one', count: 8, weight: 15 },
  f: { by: 'change', isOrdered: true, record: 'file', to: 'one', count: 4, weight: 8 },
  g: { by: 'change', isOrdered: false, record: 'file', to: 'one', count: 8, weight: 6 },
  p: { by: 'send', isOrdered: true, record: 'tx', to: 'one', count: 8, weight: 10 },
  q: { by: 'send', isOrdered: false, record: 'tx', to: 'one', count: 4, weight: 6 },
  d: { by: 'change', isOrdered: true, record: 'tx', to: 'one', count: 1, weight: 1, isDoomed: true },
  l: { by: 'change', isOrdered: true, record: 'tx', to: 'list', count: 3, weight: 10, hasReplies: true },
  r: { by: 'change', isOrdered: true, record: 'tx', to: 'sender', count: 0, weight: 0 },
} as const satisfies Record<string, Kind>
export type KindName = keyof typeof KINDS

export const kindNameOf = (stream: string): KindName => {
  const letter = stream[stream.indexOf('.') + 1] ?? ''
  if (letter in KINDS) return letter as KindName
  throw new Error(`${stream} is no stream`)
}
export const kindOf = (stream: string): Kind => KINDS[kindNameOf(stream)]

export const streamOf = (sender: string, phase: string, kind: KindName, index: number): string =>
  `${sender}-${phase}.${kind}${index}`
export const replyStreamOf = (replier: string, stream: string): string => `${replier}.r.${stream}`

/** Of the doomed streams each third one is never processed. */
export const isDoomed = (stream: string, n: number): boolean => kindOf(stream).isDoomed === true && n % 3 === 0

/** A handler without a transaction may run again: it is for AT_LEAST_ONCE only. Of the others half are. */
export const isExactlyOnce = (stream: string, n: number): boolean => kindOf(stream).record === 'tx' && n % 2 === 0

const MAX_PAD = 20 * 1024
const PRIORITIES: readonly Priority[] = ['low', 'normal', 'normal', 'normal', 'high', 'critical']
const ALWAYS = 1_000_000

/** The same for the same stream and number: a transaction that is run again sends the same. */
const dice = (stream: string, n: number): Buffer => createHash('sha256').update(`${stream} ${n}`).digest()

export const itemOf = (stream: string, n: number): Item => {
  const random = dice(stream, n)
  const kind = kindOf(stream)
  const chance = (at: number): number => (random[at] ?? 0) / 256
  // Most are small: 10 B to 500 B, one in twenty up to 20 KiB.
  const bytes = Math.floor(chance(0) < 0.05 ? chance(1) * MAX_PAD : 10 + chance(1) * chance(2) * 500)
  return {
    stream,
    n,
    amount: (random[3] ?? 0) + 1,
    fails: isDoomed(stream, n) ? ALWAYS : chance(4) < 0.02 ? 1 + ((random[5] ?? 0) % 2) : 0,
    ms: chance(6) < 0.08 ? 1 + ((random[7] ?? 0) % 15) : 0,
    hasEffect: chance(8) < 0.02,
    wantsReply: kind.hasReplies === true,
    pad: 'x'.repeat(bytes),
  }
}

/** How it is sent. */
export const optionsOf = ({ stream, n, fails }: Item) => ({
  guarantee: isExactlyOnce(stream, n) ? ('EXACTLY_ONCE' as const) : ('AT_LEAST_ONCE' as const),
  priority: PRIORITIES[(dice(stream, n)[9] ?? 0) % PRIORITIES.length] ?? ('normal' as const),
  ...(kindOf(stream).isOrdered && { conversationId: stream }),
  ...(isDoomed(stream, n) && { retry: { maxRetries: 1, initialDelayMs: 50 } }),
  ...(fails > 0 && !isDoomed(stream, n) && { retry: { maxRetries: 20, initialDelayMs: 50, maxDelayMs: 400 } }),
})

/** What a sender keeps of a stream. */
export const SentRow = z.object({
  n: z.int(),
  sum: z.int(),
  /** Peer ids. */
  to: z.array(z.string()),
})
export type SentRow = z.output<typeof SentRow>
export const SENT = 'sent/'
/** What a receiver keeps of a stream in order: how many and how much, and the numbers as they came, by hundreds. */
export const HeadRow = z.object({ count: z.int(), sum: z.int() })
export const HEAD = 'head/'
export const ORDER = 'order/'
export const OrderRow = z.array(z.int())
export const CHUNK = 100
/** What it keeps of one without: how often each was processed. */
export const TIMES = 'times/'
export const TimesRow = z.object({ times: z.int(), sum: z.int() })
export const padNumber = (n: number): string => String(n).padStart(12, '0')

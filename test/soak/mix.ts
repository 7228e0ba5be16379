/** What is called how often. Pure. */
import type { Random } from './random.ts'

/** Shares of all calls, in thousandths. */
export const SHARES = {
  /** Whoever offers it; may be repeated elsewhere. */
  'echo-any': 390,
  'echo-to': 300,
  /** Must not be done twice: a lost connection fails it. */
  'once-any': 70,
  'once-to': 90,
  binary: 40,
  /** In several frames. */
  large: 4,
  /** To this node itself. */
  self: 10,
  stream: 20,
  'broken-off': 10,
  note: 20,
  all: 6,
  cancelled: 25,
  'timed-out': 15,
} as const

export type CallKind = keyof typeof SHARES

const KINDS = Object.entries(SHARES) as [CallKind, number][]
const TOTAL = KINDS.reduce((sum, [, share]) => sum + share, 0)

export const nextKind = (random: Random): CallKind => {
  let left = random.next() * TOTAL
  for (const [kind, share] of KINDS) {
    left -= share
    if (left < 0) return kind
  }
  return 'echo-any'
}

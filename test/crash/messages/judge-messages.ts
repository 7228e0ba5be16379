/** Whether what was sent is what was processed: nothing lost, nothing counted twice, in order, and the sums agree. Pure. */
import type { Found } from './findings.ts'
import { isDoomed, isExactlyOnce, itemOf, kindOf } from './streams.ts'

export interface Allowed {
  /** Numbers of this stream may be missing at this node, as what was thrown away with a store is. */
  mayMiss?(stream: string, n: number, receiver: string): boolean
  /** The sender may not know any more that it sent it; as `mayMiss` unless told. */
  mayBeUnknown?(stream: string, n: number, receiver: string): boolean
  /** What this node keeps of the stream may be in parts. */
  mayBeInParts?(stream: string, receiver: string): boolean
  /** Beside the doomed ones. */
  mayDie?(stream: string, n: number): boolean
}

export interface MessageFigures {
  /** To each receiver. */
  readonly messages: number
  readonly processed: number
  readonly exactlyOnce: number
  readonly lost: number
  /** EXACTLY_ONCE that counted more than once. */
  readonly twice: number
  /** AT_LEAST_ONCE that ran to its end more than once, which is allowed. */
  readonly again: number
  readonly outOfOrder: number
  readonly missedAllowed: number
  readonly dead: number
  readonly effects: number
  readonly effectsAgain: number
}

export interface MessageJudgement {
  readonly figures: MessageFigures
  /** One sentence each, for people. */
  readonly wrong: readonly string[]
}

/** How often each number of a stream was processed at a node. */
const countsOf = (found: Found, stream: string): ReadonlyMap<number, number> => {
  const kind = kindOf(stream)
  if (kind.record === 'tx' && !kind.isOrdered)
    return new Map([...(found.times.get(stream) ?? [])].map(([n, { times }]) => [n, times]))
  const counts = new Map<number, number>()
  const all = (kind.record === 'file' ? found.file : found.order).get(stream) ?? []
  for (const n of all) counts.set(n, (counts.get(n) ?? 0) + 1)
  return counts
}

/** Numbers that came first after a later one did. */
const misplaced = (order: readonly number[]): number[] => {
  const seen = new Set<number>()
  const wrong: number[] = []
  let highest = 0
  for (const n of order) {
    if (seen.has(n)) continue
    seen.add(n)
    if (n < highest) wrong.push(n)
    highest = Math.max(highest, n)
  }
  return wrong
}

const amountsOf = (stream: string, counts: ReadonlyMap<number, number>): number => {
  let sum = 0
  for (const [n, times] of counts) sum += times * itemOf(stream, n).amount
  return sum
}

const sumAt = (found: Found, stream: string): number | undefined => {
  if (!kindOf(stream).isOrdered) {
    let sum = 0
    for (const row of found.times.get(stream)?.values() ?? []) sum += row.sum
    return sum
  }
  return found.heads.get(stream)?.sum
}

export const judgeMessages = (all: readonly Found[], allowed: Allowed = {}): MessageJudgement => {
  const { mayMiss = () => false, mayBeUnknown = mayMiss, mayBeInParts = () => false, mayDie = () => false } = allowed
  const wrong: string[] = []
  const figures = {
    messages: 0,
    processed: 0,
    exactlyOnce: 0,
    lost: 0,
    twice: 0,
    again: 0,
    outOfOrder: 0,
    missedAllowed: 0,
    dead: 0,
    effects: 0,
    effectsAgain: 0,
  }
  const dead = new Set<string>()
  for (const { dead: items, name } of all)
    for (const { stream, n, code, reason } of items) {
      figures.dead += 1
      dead.add(`${stream} ${n}`)
      if (!isDoomed(stream, n) && !mayDie(stream, n))
        wrong.push(`${name} has the dead letter ${stream} ${n}: ${code} ${reason}`)
    }

  /** What must be there, by receiver and stream. */
  const expected = new Map<string, Map<string, Set<number>>>()
  const expect = (to: readonly string[], stream: string, n: number): void => {
    for (const id of to) {
      const streams = expected.get(id) ?? new Map<string, Set<number>>()
      expected.set(id, streams)
      const numbers = streams.get(stream) ?? new Set<number>()
      streams.set(stream, numbers.add(n))
    }
  }
  for (const { sent, acked, name } of all) {
    for (const [stream, { n: last, sum, to }] of sent) {
      let amounts = 0
      for (let n = 1; n <= last; n += 1) {
        amounts += itemOf(stream, n).amount
        expect(to, stream, n)
      }
      if (amounts !== sum) wrong.push(`${name} counted ${last} of ${stream} with ${sum}, which come to ${amounts}`)
    }
    for (const { stream, n, to } of acked) expect(to, stream, n)
  }

  for (const found of all) {
    const { name, id, order, file, times, heads, effects } = found
    const mine = expected.get(id) ?? new Map<string, Set<number>>()
    for (const stream of new Set([...mine.keys(), ...order.keys(), ...file.keys(), ...times.keys()])) {
      const counts = countsOf(found, stream)
      const numbers = mine.get(stream) ?? new Set<number>()
      figures.messages += numbers.size
      for (const n of numbers) {
        if (counts.has(n)) continue
        if (isDoomed(stream, n)) {
          if (!dead.has(`${stream} ${n}`)) wrong.push(`${stream} ${n} was to become a dead letter, and is none`)
          continue
        }
        if (mayMiss(stream, n, name) || mayDie(stream, n)) {
          figures.missedAllowed += 1
          continue
        }
        figures.lost += 1
        wrong.push(`${stream} ${n} was sent, and ${name} has not processed it`)
      }
      const isSent = kindOf(stream).by === 'change'
      for (const [n, count] of counts) {
        figures.processed += 1
        if (isDoomed(stream, n)) wrong.push(`${stream} ${n} cannot succeed, and was processed`)
        if (isSent && !numbers.has(n) && !mayBeUnknown(stream, n, name))
          wrong.push(`${name} processed ${stream} ${n}, which nobody sent`)
        if (isExactlyOnce(stream, n)) figures.exactlyOnce += 1
        if (count === 1) continue
        if (isExactlyOnce(stream, n)) {
          figures.twice += 1
          wrong.push(`${stream} ${n} is EXACTLY_ONCE, and counted ${count} times at ${name}`)
        } else figures.again += count - 1
      }
      if (mayBeInParts(stream, name)) continue
      const { isOrdered, record } = kindOf(stream)
      if (isOrdered) {
        for (const n of misplaced((record === 'file' ? file : order).get(stream) ?? [])) {
          figures.outOfOrder += 1
          wrong.push(`${stream} ${n} was processed at ${name} after a later one`)
        }
      }
      if (record === 'tx' && counts.size > 0) {
        const sum = sumAt(found, stream)
        if (sum !== amountsOf(stream, counts))
          wrong.push(`${name} has ${sum} of ${stream}, and what it processed comes to ${amountsOf(stream, counts)}`)
        const head = heads.get(stream)
        if (isOrdered && head?.count !== order.get(stream)?.length)
          wrong.push(`${name} counted ${head?.count} of ${stream}, and lists ${order.get(stream)?.length}`)
      }
    }
    figures.effects += effects.length
    figures.effectsAgain += effects.length - new Set(effects).size
  }
  return { figures, wrong }
}

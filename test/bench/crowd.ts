/**
 * A whole mesh in one process, over real loopback TCP.
 *
 * State: the nodes, and for each of them the tally of the measurement that runs.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { bodies, sentAtMsOf, sequenceOf, sharedNowMs } from './body.ts'
import type { Member, MemberEnds } from './system.ts'
import { createTally, type Tally } from './tally.ts'

const EVENT_BYTES = 256
/** Nodes that start at the same time. */
const AT_ONCE = 4
/**
 * Others that each node connects with: those that it finds first, or is told of where it finds none by itself. Everyone
 * with everyone would be 4,950 connections with both ends of each in this one process, which no machine of a mesh has.
 */
const NEIGHBOURS = 8
const LOOK_MS = 50
/** Connections that neither come nor go for so long make a mesh that is formed. */
const STILL_MS = 3_000
/**
 * Between the last delivery of an event and the next event: the latency of a quiet mesh is asked for, not that of
 * queues. One event is hundreds of messages here, all of them through one event loop.
 */
const PAUSE_MS = 50
/** An event that has not reached all by then no longer holds up the next one. */
const EVENT_LIMIT_MS = 1_000
const ARRIVAL_LOOK_MS = 5

export interface Formed {
  /** From the first node's start until connections neither came nor went any more. */
  readonly formedMs: number
  readonly leastPeers: number
  readonly mostPeers: number
}

export interface Deliveries {
  readonly expected: number
  readonly received: number
  readonly doubled: number
  readonly latenciesMs: readonly number[]
}

export interface Crowd {
  grow(count: number, limitMs: number): Promise<Formed>
  /**
   * `count` events one after the other, each from another node to all others.
   * @param limitMs how long after the last event deliveries are waited for
   */
  publish(first: number, count: number, limitMs: number): Promise<Deliveries>
  stop(): Promise<void>
}

/** Runs `task` for each index below `count`, a few at a time. */
export const forEachIndex = async (count: number, task: (index: number) => Promise<void>): Promise<void> => {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

/** @param soFar told with the failure when the time is over */
const within = async (limitMs: number, work: Promise<void>, soFar: () => string): Promise<void> => {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`after ${limitMs} ms ${soFar()}`)), limitMs)
  await Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/**
 * Whom a node is told of: steps of doubling size round the ring, so that everyone is a few hops from everyone.
 * @returns indices, each once, never its own
 */
export const acquaintances = (index: number, nodes: number): number[] => {
  const others = Array.from({ length: NEIGHBOURS }, (_, i) => (index + 2 ** i) % nodes)
  return [...new Set(others)].filter((other) => other !== index)
}

/** Which node publishes event `i` of `count`: spread evenly over all nodes. */
export const publisherOf = (i: number, count: number, nodes: number): number => Math.floor((i * nodes) / count)

export const createCrowd = (ends: MemberEnds): Crowd => {
  const nodes: Member[] = []
  let tallies: Tally[] = []
  let onArrival = (_index: number, _sequence: number, _sentAtMs: number): void => {}

  const add = async (index: number, seeds: readonly string[]): Promise<Member> => {
    const node = await ends.member(`node-${index}`, seeds, NEIGHBOURS)
    nodes[index] = node
    await node.subscribe((body) => onArrival(index, sequenceOf(body), sentAtMsOf(body)))
    return node
  }

  const untilStill = async (limitMs: number): Promise<void> => {
    const deadlineMs = performance.now() + limitMs
    let last = -1
    let sinceMs = performance.now()
    while (performance.now() - sinceMs < STILL_MS) {
      const ends = nodes.reduce((sum, node) => sum + node.peers(), 0)
      if (ends !== last) sinceMs = performance.now()
      last = ends
      if (performance.now() > deadlineMs) throw new Error(`after ${limitMs} ms connections still come and go`)
      await delay(LOOK_MS)
    }
  }

  const received = (): number => tallies.reduce((sum, tally) => sum + tally.received(), 0)

  const untilReceived = async (expected: number, limitMs: number): Promise<void> => {
    const deadlineMs = performance.now() + limitMs
    while (received() < expected && performance.now() < deadlineMs) await delay(ARRIVAL_LOOK_MS)
  }

  return {
    grow: async (count, limitMs) => {
      const beginMs = performance.now()
      const { address } = await add(0, [])
      await within(
        limitMs,
        forEachIndex(count - 1, async (index) => void (await add(index + 1, [address]))),
        () => `${nodes.filter((node) => node !== undefined).length} of ${count} nodes are in`,
      )
      await forEachIndex(count, async (index) => {
        const known = acquaintances(index, count).map((other) => nodes[other]?.address)
        await nodes[index]?.meet(known.filter((address) => address !== undefined))
      })
      await untilStill(limitMs)
      const peers = nodes.map((node) => node.peers())
      return {
        formedMs: performance.now() - beginMs - STILL_MS,
        leastPeers: Math.min(...peers),
        mostPeers: Math.max(...peers),
      }
    },

    publish: async (first, count, limitMs) => {
      const make = bodies(EVENT_BYTES)
      tallies = nodes.map(() => createTally(first, count))
      // Where nodes hear their own events too, that is no delivery.
      onArrival = (index, sequence, sentAtMs) => {
        if (publisherOf(sequence - first, count, nodes.length) !== index) {
          tallies[index]?.add(sequence, sentAtMs, sharedNowMs())
        }
      }
      for (let i = 0; i < count; i++) {
        await nodes[publisherOf(i, count, nodes.length)]?.publish(make(first + i, sharedNowMs()))
        await untilReceived((i + 1) * (nodes.length - 1), EVENT_LIMIT_MS)
        await delay(PAUSE_MS)
      }
      const expected = count * (nodes.length - 1)
      await untilReceived(expected, limitMs)
      return {
        expected,
        received: received(),
        doubled: tallies.reduce((sum, tally) => sum + tally.count().doubled, 0),
        latenciesMs: tallies.flatMap((tally) => [...tally.latenciesMs()]),
      }
    },

    stop: async () => {
      await Promise.allSettled(nodes.map((node) => node.stop()))
    },
  }
}

/**
 * Suite scale: a mesh of 100 nodes in one process, over real loopback TCP; an event from any of them to all others.
 *
 * All nodes share one event loop, so the latency holds the work of all of them and is above what as many machines would
 * show; memory and processor time are those of all nodes, by node. They are weighed before the events that are timed,
 * which collects all garbage: a full collection of one heap of 100 nodes stops all of them for some 300 ms, where each of
 * 100 processes would stop for a few, and forming the mesh is what fills that heap. Floors: design document, section 8.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { worstFaults } from '../bursts.ts'
import { SUBJECT } from '../catalogue.ts'
import { judge } from '../floors.ts'
import type { Suite } from '../suite.ts'

export const NODES = 100
const START_LIMIT_MS = 60_000
/** For starting all nodes, and again for their connections to come to rest. */
const FORM_LIMIT_MS = 100_000
const PUBLISH_LIMIT_MS = 90_000
const IDLE_MS = 5_000
/** For what waited while the memory was weighed. */
const SETTLE_MS = 2_000
/** Each publisher's first event is another matter: its gossip has to begin. It must arrive, and is not timed. */
const FIRST_EVENTS = { first: 1_000_000, count: 50, limitMs: 10_000 }
const EVENTS = { first: 2_000_000, count: 50, limitMs: 10_000 }

export const ALL = `256 B from any of ${NODES} nodes to all`
export const CROWD = `${NODES} nodes in one process`

const memorySchema = z.object({ rssMib: z.number(), collectedRssMib: z.number(), aliveMib: z.number() })
const formedSchema = z.object({ formedMs: z.number(), leastPeers: z.number(), mostPeers: z.number() })
const deliveredSchema = z.object({
  lost: z.number(),
  doubled: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  slowestMs: z.number(),
})

export const scale: Suite = {
  name: 'scale',
  about: `${NODES} nodes in one process: an event from any to all others, memory and processor time of an idle node`,
  systems: [SUBJECT, 'libp2p-node'],
  built: true,

  measure: async (start) => {
    const crowd = start('crowd')
    await crowd.ask('start', null, z.null(), START_LIMIT_MS)
    const empty = await crowd.ask('memory', null, memorySchema, START_LIMIT_MS)
    const growth = { nodes: NODES, limitMs: FORM_LIMIT_MS }
    const formed = await crowd.ask('grow', growth, formedSchema, 2 * FORM_LIMIT_MS)
    const firsts = await crowd.ask('publish', FIRST_EVENTS, deliveredSchema, PUBLISH_LIMIT_MS)
    const corePercent = await crowd.ask('idle', IDLE_MS, z.number(), IDLE_MS + START_LIMIT_MS)
    const full = await crowd.ask('memory', null, memorySchema, START_LIMIT_MS)
    await delay(SETTLE_MS)
    const events = await crowd.ask('publish', EVENTS, deliveredSchema, PUBLISH_LIMIT_MS)
    return [
      { case: ALL, metric: 'p50', unit: 'ms', value: events.p50Ms },
      { case: ALL, metric: 'p99', unit: 'ms', value: events.p99Ms },
      { case: ALL, metric: 'slowest', unit: 'ms', value: events.slowestMs },
      { case: ALL, metric: 'lost', unit: 'deliveries', value: firsts.lost + events.lost },
      { case: ALL, metric: 'doubled', unit: 'deliveries', value: firsts.doubled + events.doubled },
      { case: CROWD, metric: 'formed in', unit: 's', value: formed.formedMs / 1_000 },
      { case: CROWD, metric: 'peers, least', unit: 'of a node', value: formed.leastPeers },
      { case: CROWD, metric: 'peers, most', unit: 'of a node', value: formed.mostPeers },
      { case: CROWD, metric: 'memory', unit: 'MiB RSS a node', value: (full.rssMib - empty.rssMib) / NODES },
      { case: CROWD, metric: 'alive', unit: 'MiB a node', value: (full.aliveMib - empty.aliveMib) / NODES },
      { case: CROWD, metric: 'idle processor', unit: '% of a core a node', value: corePercent / NODES },
    ]
  },

  floors: (ledger) => {
    const figure = (metric: string) => ledger.values(SUBJECT, ALL, metric)
    return [
      judge({
        name: `p99 of an event to all ${NODES} nodes, ms (at most)`,
        bound: 'most',
        byRound: figure('p99'),
        floor: 100,
        aim: 50,
      }),
      judge({
        name: `events lost or doubled among ${NODES} nodes, worst round (at most)`,
        bound: 'most',
        byRound: worstFaults(ledger, SUBJECT, [ALL]),
        floor: 0,
        aim: 0,
      }),
    ]
  },
}

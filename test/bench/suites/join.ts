/**
 * Suite join: how long a new process takes until it is in the mesh and a call of it was answered, and how much memory
 * a node of an idle mesh of ten processes takes.
 *
 * Time runs from starting the process, so loading the code is in it. Memory is compared with libp2p nodes of the same
 * modules, connected in the same way. Ends run as built JavaScript, as they do from an installed package (built.ts).
 * Floors: design document, section 8.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { sharedNowMs } from '../body.ts'
import { SUBJECT } from '../catalogue.ts'
import { judge, ratio } from '../floors.ts'
import type { Reading } from '../ledger.ts'
import type { End } from '../processes.ts'
import { spread } from '../statistics.ts'
import type { StartEnd, Suite } from '../suite.ts'

const START_LIMIT_MS = 60_000
const JOINS = 3
export const NODES = 10
/** Until everyone is connected with everyone. */
const MEET_LIMIT_MS = 30_000
const LOOK_EACH_MS = 200
/** What starting left behind is collected and given back by then, as far as V8 does so by itself. */
const SETTLE_MS = 6_000

export const JOIN = 'process start to first answer'
export const IDLE = `idle in a mesh of ${NODES} processes`
export const BARE = 'libp2p-node'

const hostSchema = z.object({ address: z.string(), hasMembers: z.boolean() })
const joinerSchema = z.object({ readyAtMs: z.number(), cpuMs: z.number() })
const memorySchema = z.object({ rssMib: z.number(), collectedRssMib: z.number(), aliveMib: z.number() })

const median = (values: readonly number[]): number => spread(values).median

/** One after the other, each into the mesh of those before it. */
const measureJoins = async (start: StartEnd): Promise<{ readings: Reading[]; hasMembers: boolean }> => {
  const host = start('host')
  const { address, hasMembers } = await host.ask('start', null, hostSchema, START_LIMIT_MS)
  const joiners: End[] = []
  const timesMs: number[] = []
  const cpusMs: number[] = []
  for (let i = 0; i < JOINS; i++) {
    const beginMs = sharedNowMs()
    const joiner = start('joiner')
    joiners.push(joiner)
    const { readyAtMs, cpuMs } = await joiner.ask('start', address, joinerSchema, START_LIMIT_MS)
    timesMs.push(readyAtMs - beginMs)
    cpusMs.push(cpuMs)
  }
  await Promise.all([...joiners, host].map((end) => end.stop()))
  return {
    hasMembers,
    readings: [
      { case: JOIN, metric: 'time', unit: 'ms', value: median(timesMs) },
      { case: JOIN, metric: 'processor time', unit: 'ms', value: median(cpusMs) },
    ],
  }
}

const formMesh = async (start: StartEnd): Promise<End[]> => {
  const nodes = Array.from({ length: NODES }, () => start('node'))
  const begin = (node: End, i: number, seeds: readonly string[]): Promise<string> =>
    node.ask('start', { name: `node-${i}`, seeds }, z.string(), START_LIMIT_MS)
  const [first, ...others] = nodes
  if (first === undefined) throw new Error('a mesh has at least one node')
  const seed = await begin(first, 0, [])
  const addresses = [seed, ...(await Promise.all(others.map((node, i) => begin(node, i + 1, [seed]))))]
  await Promise.all(nodes.map((node, i) => node.ask('meet', addresses.slice(0, i), z.null(), START_LIMIT_MS)))

  const deadlineMs = performance.now() + MEET_LIMIT_MS
  for (;;) {
    const peers = await Promise.all(nodes.map((node) => node.ask('peers', null, z.int(), START_LIMIT_MS)))
    if (peers.every((count) => count === NODES - 1)) return nodes
    if (performance.now() > deadlineMs) throw new Error(`not everyone is connected with everyone: ${peers.join(' ')}`)
    await delay(LOOK_EACH_MS)
  }
}

const measureIdle = async (start: StartEnd): Promise<Reading[]> => {
  const nodes = await formMesh(start)
  const cpu = () => Promise.all(nodes.map((node) => node.ask('cpu', null, z.number(), START_LIMIT_MS)))
  await delay(SETTLE_MS / 2)
  const beginMs = performance.now()
  const before = await cpu()
  await delay(SETTLE_MS / 2)
  const after = await cpu()
  const shares = after.map((cpuMs, i) => (100 * (cpuMs - (before[i] ?? 0))) / (performance.now() - beginMs))
  const memory = await Promise.all(nodes.map((node) => node.ask('memory', null, memorySchema, START_LIMIT_MS)))
  const figure = (metric: string, unit: string, values: readonly number[]): Reading => ({
    case: IDLE,
    metric,
    unit,
    value: median(values),
  })
  return [
    figure(
      'memory',
      'MiB RSS',
      memory.map(({ rssMib }) => rssMib),
    ),
    figure(
      'memory after gc',
      'MiB RSS',
      memory.map(({ collectedRssMib }) => collectedRssMib),
    ),
    figure(
      'alive',
      'MiB heap + external',
      memory.map(({ aliveMib }) => aliveMib),
    ),
    figure('processor', '% of a core', shares),
  ]
}

export const join: Suite = {
  name: 'join',
  about: 'a new process until it is in and was answered; memory of an idle node beside a bare libp2p node',
  systems: [SUBJECT, BARE, 'nats', 'moleculer', 'rabbitmq', 'raw-tcp'],
  built: true,

  measure: async (start) => {
    const { readings, hasMembers } = await measureJoins(start)
    return hasMembers ? [...readings, ...(await measureIdle(start))] : readings
  },

  floors: (ledger) => {
    const memory = (system: string) => ledger.values(system, IDLE, 'memory')
    return [
      judge({
        name: 'process start to admitted and answered, ms (at most)',
        bound: 'most',
        byRound: ledger.values(SUBJECT, JOIN, 'time'),
        floor: 1_500,
        aim: 700,
      }),
      judge({
        name: 'memory of a node, idle in a mesh of 10, over a bare libp2p node (at most)',
        bound: 'most',
        byRound: ratio(memory(SUBJECT), memory(BARE)),
        floor: 1.5,
        aim: 1.25,
      }),
    ]
  },
}

/**
 * The nodes that live as long as the run, each in its own process. All of them announce the address of a proxy in place
 * of their own, so that what others dialled to one of them can be cut.
 */
import type { MeshOptionsInput } from '../../node/index.ts'
import { type Child, forkChild } from './child.ts'
import { nowMs } from './clock.ts'
import { readEndpoint } from './endpoint.ts'
import type { CoreVerbs, NodeFacts, Note, Totals } from './messages.ts'
import { type CuttingProxy, freePort, startProxy } from './proxy.ts'
import type { Sample } from './sample.ts'

export const CORE_NODES = 4
const WORK = { callsPerSecond: 550, eventsPerSecond: 2, maxInFlight: 128 }
const EXIT_WITHIN_MS = 15_000
/** The last events are on their way, or are noticed as missing and fetched. */
const LAST_EVENTS_MS = 6_000

export interface CoreNode extends NodeFacts {
  readonly name: string
  readonly child: Child<CoreVerbs>
  readonly proxy: CuttingProxy
}

export interface Core {
  readonly nodes: readonly CoreNode[]
  /** Addresses to join by. */
  readonly join: string[]
  work(): Promise<void>
  /** Weighs all while none of them calls; a sample for each, in their order. */
  weigh(): Promise<Sample[]>
  totals(): Promise<Totals[]>
  /** Stops calls and events. */
  rest(): Promise<void>
  /** What did not end as it should. */
  stop(): Promise<string[]>
}

const startOne = async (
  name: string,
  options: MeshOptionsInput,
  join: string[],
  seed: number,
  hear: (note: Note) => void,
): Promise<CoreNode> => {
  const port = await freePort()
  const proxy = await startProxy(port)
  const child = forkChild<CoreVerbs>('./core-process.ts', hear)
  const facts = await child.ask('start', {
    seed,
    options: {
      ...options,
      name,
      join,
      debug: 0,
      listen: [`/ip4/127.0.0.1/tcp/${port}`],
      announce: [`/ip4/127.0.0.1/tcp/${proxy.port}`],
    },
  })
  return { ...facts, name, child, proxy }
}

export const startCore = async (options: MeshOptionsInput, seed: number, hear: (note: Note) => void): Promise<Core> => {
  const nodes: CoreNode[] = []
  for (let i = 0; i < CORE_NODES; i += 1) {
    const join = nodes.flatMap(({ addresses }) => addresses)
    nodes.push(await startOne(`core-${i}`, options, join, seed + i, hear))
  }
  const ids = nodes.map(({ id }) => id)
  const each = <T>(run: (node: CoreNode) => Promise<T>): Promise<T[]> => Promise.all(nodes.map(run))
  await each(({ child }) => child.ask('known', ids))

  const stopOne = async ({ name, child, proxy }: CoreNode): Promise<string[]> => {
    const startedAt = nowMs()
    await child.ask('stop')
    child.leaveAlone()
    const late = new Promise<undefined>((resolve) => {
      setTimeout(resolve, EXIT_WITHIN_MS, undefined).unref()
    })
    const how = await Promise.race([child.ended, late])
    if (how === undefined) await child.kill()
    await proxy.close()
    if (how === 0) return []
    return [
      how === undefined
        ? `${name} was still there ${Math.round(nowMs() - startedAt)} ms after its stop`
        : `${name} ended with ${how}`,
    ]
  }

  return {
    nodes,
    join: nodes.flatMap(({ addresses }) => addresses),
    async work() {
      await each(({ child }) => child.ask('work', { ...WORK, counted: ids }))
    },
    async weigh() {
      await each(({ child }) => child.ask('pause'))
      try {
        const samples = await each(({ child }) => child.ask('weigh'))
        const shown = await each(({ debugUrl }) => readEndpoint(debugUrl ?? ''))
        return samples.map((sample, i) => ({ ...sample, ...shown[i] }))
      } finally {
        await each(({ child }) => child.ask('resume'))
      }
    },
    totals: () => each(({ child }) => child.ask('totals')),
    async rest() {
      await each(({ child }) => child.ask('pause'))
      await new Promise((resolve) => setTimeout(resolve, LAST_EVENTS_MS))
      await each(({ child }) => child.ask('rest'))
    },
    stop: async () => (await each(stopOne)).flat(),
  }
}

/**
 * A mesh of simulated nodes: failure detectors, directories and the network between them, and what can happen to them.
 * The part of the supervisor is played by redials of lost connections.
 *
 * State: the nodes, who is called dead by whom, figures of the run. Same seed, same run.
 */
import type { SwimSettings } from '../../../discovery/swim/swim-settings.ts'
import type { SwimEffect } from '../../../discovery/swim/swim-state.ts'
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { createDirectories, type Directories } from './directories.ts'
import { edgesOf, picksOf } from './graph.ts'
import { createNetwork, type Network } from './network.ts'
import { createNode, type SimNode } from './node.ts'
import { createQueue, type Queue } from './queue.ts'

export interface WorldOptions {
  readonly members: number
  readonly seed: number
  readonly latencyMs?: readonly [least: number, most: number]
  /** Share of single messages that are lost. */
  readonly loss?: number
  readonly settings?: Partial<SwimSettings>
  readonly trace?: ((line: string) => void) | undefined
}

export interface World {
  readonly queue: Queue
  readonly network: Network
  readonly directories: Directories
  /** Ids of those that were not killed. */
  living(): string[]
  node(id: string): SimNode
  /** As SIGKILL does: its connections close. */
  kill(id: string): void
  /** Starts a node that knows one other. */
  join(id: string): void
  /** Of the living but for `id` itself: how many think this of it. */
  count(id: string, standing: 'suspect' | 'dead'): number
  /** Suspicions and deaths told of nodes that ran at that time. */
  readonly wrong: { suspicions: number; deaths: number }
  /** Who stands still or is dead: what is said of it is not wrong. */
  readonly excused: Set<string>
}

/** A killed process's connections close after about so long. */
const CLOSE_MS = 10
const DIAL_MS = 20
const BACKOFF_MIN_MS = 250
const BACKOFF_MAX_MS = 5_000
const MAX_DIALS = 20
const START_MS = 1_700_000_000_000

export const createWorld = (options: WorldOptions): World => {
  const random = createRandom(options.seed)
  const queue = createQueue()
  const network = createNetwork(queue, random, {
    latencyMs: options.latencyMs ?? [1, 5],
    loss: options.loss ?? 0.01,
  })
  const nodes = new Map<string, SimNode>()
  const wrong = { suspicions: 0, deaths: 0 }
  const excused = new Set<string>()
  const trace = (line: string): void => options.trace?.(`${queue.now().toFixed(0).padStart(7)} ${line}`)

  const isUp = (id: string): boolean => nodes.get(id)?.isDead() === false

  const disconnect = (a: string, b: string): void => {
    if (!network.isConnected(a, b)) return
    network.disconnect(a, b)
    for (const [id, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      nodes.get(id)?.run(() => directories.disconnected(id, peer))
      nodes.get(id)?.happen({ type: 'disconnected', peer, parted: false })
    }
    redial(a, b, 0)
  }

  const connect = (a: string, b: string, compares = true): void => {
    if (network.isConnected(a, b)) return
    network.connect(a, b)
    for (const [id, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      nodes.get(id)?.run(() => directories.connected(id, peer, compares))
      nodes.get(id)?.happen({ type: 'connected', peer })
    }
  }

  /** The two look for one another while both are up; one that stands still answers no dial. */
  const redial = (a: string, b: string, failures: number): void => {
    if (failures >= MAX_DIALS) return
    const pauseMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** failures) * (0.5 + 0.5 * random())
    queue.after(pauseMs + DIAL_MS, () => {
      if (!isUp(a) || !isUp(b) || network.isConnected(a, b)) return
      if (still.has(a) || still.has(b)) redial(a, b, failures + 1)
      else connect(a, b)
    })
  }
  const still = new Set<string>()

  const isWrong = (peer: string): boolean => isUp(peer) && !excused.has(peer)

  /** Of each peer, who thinks what of it, where that is not alive. */
  const opinions = new Map<string, Map<string, 'suspect' | 'dead'>>()
  const note = (id: string, peer: string, standing: 'suspect' | 'dead' | undefined): void => {
    const of = opinions.get(peer) ?? new Map()
    opinions.set(peer, of)
    if (standing === undefined) of.delete(id)
    else of.set(id, standing)
  }

  const told = (id: string, effect: SwimEffect): void => {
    const now = queue.now()
    const tables = directories.tables(id)
    if (effect.type === 'suspect') {
      if (isWrong(effect.peer)) wrong.suspicions += 1
      trace(`${id} suspects ${effect.peer}`)
      note(id, effect.peer, 'suspect')
      tables.markSuspect(effect.peer, now)
    } else if (effect.type === 'alive') {
      trace(`${id} takes ${effect.peer} back`)
      note(id, effect.peer, undefined)
      tables.markAlive(effect.peer)
    } else if (effect.type === 'dead') {
      if (isWrong(effect.peer)) wrong.deaths += 1
      trace(`${id} calls ${effect.peer} dead`)
      note(id, effect.peer, 'dead')
      tables.markDead(effect.peer, now)
      disconnect(id, effect.peer)
    } else if (effect.type === 'refuted' && effect.isPresumedDead) directories.announce(id)
  }

  const directories = createDirectories({
    queue,
    network,
    random,
    node: (id) => nodes.get(id),
    changed(id, changes) {
      for (const change of changes) {
        const { peer, record, self } = change.agent
        if (!self && change.type === 'joined')
          nodes.get(id)?.happen({ type: 'member', peer, incarnation: record.incarnation })
        if (!self && change.type === 'joined') known.get(id)?.(peer)
      }
    },
  })
  /** What a node does with an agent that it hears of. */
  const known = new Map<string, (peer: string) => void>()

  const start = (id: string, incarnation: number): void => {
    nodes.set(
      id,
      createNode(id, incarnation, {
        queue,
        network,
        random,
        settings: options.settings ?? {},
        node: (peer) => nodes.get(peer),
        size: (self) => directories.tables(self).count() + 1,
        told,
      }),
    )
  }

  const ids = Array.from({ length: options.members }, (_, n) => `n${String(n).padStart(4, '0')}`)
  for (const id of ids) {
    start(id, START_MS)
    directories.start(id, START_MS, ids)
  }
  for (const [a, b] of edgesOf(ids)) connect(a, b, false)

  const living = (): string[] => [...nodes.keys()].filter(isUp)
  const nodeOf = (id: string): SimNode => {
    const node = nodes.get(id)
    if (node === undefined) throw new Error(`no node ${id}`)
    return node
  }

  return {
    queue,
    network,
    directories,
    wrong,
    excused,
    living,
    node: (id) => {
      const node = nodeOf(id)
      return {
        ...node,
        freeze() {
          still.add(id)
          excused.add(id)
          node.freeze()
        },
        thaw() {
          still.delete(id)
          node.thaw()
        },
      }
    },
    kill(id) {
      nodeOf(id).kill()
      excused.add(id)
      queue.after(CLOSE_MS, () => {
        for (const peer of [...network.neighbours(id)]) disconnect(id, peer)
      })
    },
    join(id) {
      const all = living()
      const seed = all[Math.floor(random() * all.length)]
      if (seed === undefined) return
      start(id, START_MS + Math.floor(queue.now()))
      directories.start(id, START_MS + Math.floor(queue.now()), [])
      // Its picks are dialled once it has heard of most; others that pick it come by themselves.
      let isPlanned = false
      known.set(id, () => {
        if (isPlanned) return
        isPlanned = true
        queue.after(200, () => {
          const agents = directories
            .tables(id)
            .view()
            .flatMap(({ peer, self }) => (self ? [] : [peer]))
          for (const peer of picksOf(id, agents)) queue.after(DIAL_MS * random(), () => isUp(peer) && connect(id, peer))
        })
      })
      connect(id, seed)
      directories.announce(id)
    },
    count: (id, standing) =>
      [...(opinions.get(id) ?? [])].filter(([other, opinion]) => opinion === standing && isUp(other)).length,
  }
}

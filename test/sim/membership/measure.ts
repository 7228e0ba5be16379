/** One run of a mesh of a size: at rest, a killed node, a frozen one, one that stands still for a while, a newcomer. */
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { createWorld, type World, type WorldOptions } from './world.ts'

const WARM_UP_MS = 3_000
const REST_MS = 20_000
/** The longest that anything is waited for. */
const LIMIT_MS = 60_000
const CALM_MS = 5_000
export const BLOCKED_MS = 5_000
/** What the nodes do while nothing happens. Gossip of newcomers and records that are pushed come on top when it does. */
const KINDS = ['probe', 'answer', 'ask', 'report', 'compare', 'push', 'gossip'] as const

export interface Spread {
  /** Milliseconds until the first, and until all of the others. */
  readonly firstMs: number | undefined
  readonly allMs: number | undefined
}

export interface Measured {
  readonly members: number
  readonly seed: number
  /** Messages sent, for each node and second, at rest. */
  readonly perNodeSecond: number
  readonly byKind: Readonly<Record<string, number>>
  readonly killed: { readonly suspected: Spread; readonly dead: Spread }
  readonly frozen: { readonly suspected: Spread; readonly dead: Spread }
  /** One that stands still for BLOCKED_MS: by how many it was called dead, whom it called dead, back with all after. */
  readonly blocked: { readonly calledDeadBy: number; readonly condemned: number; readonly backMs: number | undefined }
  /** Milliseconds until it knows everybody, and everybody it. */
  readonly newcomer: { readonly knowsAllMs: number | undefined; readonly knownByAllMs: number | undefined }
  /** Of nodes that ran, in the whole run. */
  readonly wrongSuspicions: number
  readonly wrongDeaths: number
  readonly virtualSeconds: number
}

/** Until the first and until all others think so; looks at each change, at most each 10 ms. */
const watch = (world: World, id: string, standing: 'suspect' | 'dead', others: number): (() => Spread) => {
  const startMs = world.queue.now()
  let firstMs: number | undefined
  let allMs: number | undefined
  const look = (): void => {
    const count = world.count(id, standing) + (standing === 'suspect' ? world.count(id, 'dead') : 0)
    const ms = world.queue.now() - startMs
    if (count > 0) firstMs ??= ms
    if (count >= others) allMs ??= ms
    if (allMs === undefined && ms < LIMIT_MS) world.queue.after(10, look)
  }
  look()
  return () => ({ firstMs, allMs })
}

const end = (world: World, id: string): { suspected: Spread; dead: Spread } => {
  const others = world.living().filter((other) => other !== id).length
  const suspected = watch(world, id, 'suspect', others)
  const dead = watch(world, id, 'dead', others)
  world.queue.run(world.queue.now() + LIMIT_MS, () => dead().allMs !== undefined)
  return { suspected: suspected(), dead: dead() }
}

const until = (world: World, isSo: () => boolean): number | undefined => {
  const startMs = world.queue.now()
  let ms: number | undefined
  const look = (): void => {
    if (isSo()) ms = world.queue.now() - startMs
    else world.queue.after(10, look)
  }
  look()
  world.queue.run(startMs + LIMIT_MS, () => ms !== undefined)
  return ms
}

const stillFor = (world: World, id: string): Measured['blocked'] => {
  const node = world.node(id)
  const deathsBefore = node.swim.counts.deaths
  let calledDeadBy = 0
  const look = (): void => {
    calledDeadBy = Math.max(calledDeadBy, world.count(id, 'dead'))
    world.queue.after(10, look)
  }
  look()
  node.freeze()
  world.queue.run(world.queue.now() + BLOCKED_MS)
  node.thaw()
  const isBack = (): boolean => world.count(id, 'dead') + world.count(id, 'suspect') === 0
  // What was said of it may still be on its way.
  world.queue.run(world.queue.now() + 1)
  const backMs = until(world, isBack)
  world.queue.run(world.queue.now() + CALM_MS)
  return { calledDeadBy, condemned: node.swim.counts.deaths - deathsBefore, backMs: isBack() ? backMs : undefined }
}

const join = (world: World, id: string): Measured['newcomer'] => {
  const others = world.living()
  const startMs = world.queue.now()
  world.join(id)
  let knowsAllMs: number | undefined
  const knownByAllMs = until(world, () => {
    const knowsAll = world.directories.tables(id).count() >= others.length
    if (knowsAll) knowsAllMs ??= world.queue.now() - startMs
    const isKnown = others.every((other) => world.directories.tables(other).get(id) !== undefined)
    return knowsAllMs !== undefined && isKnown
  })
  return { knowsAllMs, knownByAllMs }
}

export const measure = (options: WorldOptions): Measured => {
  const world = createWorld(options)
  const random = createRandom(options.seed + 1)
  const one = (): string => {
    const ids = world.living().filter((id) => !world.excused.has(id))
    return ids[Math.floor(random() * ids.length)] ?? ''
  }
  world.queue.run(WARM_UP_MS)
  const before = { ...world.network.sent }
  world.queue.run(WARM_UP_MS + REST_MS)
  const rates = KINDS.map((kind): [string, number] => {
    const sent = (world.network.sent[kind] ?? 0) - (before[kind] ?? 0)
    return [kind, sent / options.members / (REST_MS / 1_000)]
  })
  const victim = one()
  world.kill(victim)
  const killed = end(world, victim)
  world.queue.run(world.queue.now() + CALM_MS)
  const icy = one()
  world.node(icy).freeze()
  const frozen = end(world, icy)
  world.kill(icy)
  world.queue.run(world.queue.now() + CALM_MS)
  const blocked = stillFor(world, one())
  const newcomer = join(world, 'newcomer')
  world.queue.run(world.queue.now() + CALM_MS)
  return {
    members: options.members,
    seed: options.seed,
    perNodeSecond: rates.reduce((sum, [, rate]) => sum + rate, 0),
    byKind: Object.fromEntries(rates),
    killed,
    frozen,
    blocked,
    newcomer,
    wrongSuspicions: world.wrong.suspicions,
    wrongDeaths: world.wrong.deaths,
    virtualSeconds: world.queue.now() / 1_000,
  }
}

/**
 * What befalls nodes that deliver: processes are killed or stopped, power goes, disks fill up, fail, slow down, are lost or
 * set back to a copy, lines are cut, frames are lost, late and doubled, clocks jump, programs fail, hang or do not receive.
 *
 * State: none of its own; everything heals by itself after a while, or with `heal`.
 */
import type { PortNetwork } from '../../../node/testing/virtual/port-network.ts'
import type { Wires } from '../port/process.ts'
import type { Nodes, SimNode } from './node.ts'
import { WELL } from './programs.ts'

const AWAY_MS = [20, 2_500] as const
/** Longer than most senders wait for whoever takes their place. */
const LONG_MS = [1_500, 10_000] as const
const CUT_MS = [100, 4_000] as const
const FREEZE_MS = [100, 3_000] as const
const SICK_MS = [200, 4_000] as const
const MOOD_MS = [500, 4_000] as const
const DEAF_MS = [200, 3_000] as const
const BREAK_MS = [0, 50] as const
/** When each line of a node with a slow disk breaks: what it did is not on that disk yet, and it is greeted. */
const SLOW_BREAKS_MS = [
  [0, 200],
  [200, 800],
  [200, 800],
] as const
/** Of the outside effects: the share after which power goes, and how soon. */
const AFTER_EFFECT = { share: 0.1, ms: [0, 30] } as const
const SYNC_MS = [0.1, 2] as const
const SLOW_SYNC_MS = [10, 150] as const
const JUMP_MS = 600_000

export interface FaultTotals {
  crashes: number
  powerCuts: number
  stops: number
  partitions: number
  freezes: number
  away: number
  fullDisks: number
  failingDisks: number
  slowDisks: number
  deathsAfterEffects: number
  lostDisks: number
  setBack: number
  clockJumps: number
  moods: number
  withoutPrograms: number
}

export const noFaults = (): FaultTotals => ({
  crashes: 0,
  powerCuts: 0,
  stops: 0,
  partitions: 0,
  freezes: 0,
  away: 0,
  fullDisks: 0,
  failingDisks: 0,
  slowDisks: 0,
  deathsAfterEffects: 0,
  lostDisks: 0,
  setBack: 0,
  clockJumps: 0,
  moods: 0,
  withoutPrograms: 0,
})

export interface FaultsDeps {
  readonly network: PortNetwork
  readonly nodes: Nodes
  readonly wires: Wires
  readonly totals: FaultTotals
  /** Disks may be lost and set back. */
  readonly hasDisksLost: boolean
  tell(line: string): void
}

export interface Faults {
  /** One of them, at random. */
  strike(): void
  /** Its program has the result of an outside effect, and is not at its end yet: now and then power goes. */
  afterEffect(node: SimNode): void
  /** Everything is well from now on. */
  heal(): Promise<void>
}

export const createFaults = ({ network, nodes, wires, totals, hasDisksLost, tell }: FaultsDeps): Faults => {
  const { time, random } = network
  const chance = (share: number): boolean => random() < share
  const between = ([least, most]: readonly [number, number]): number => least + random() * (most - least)
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  const some = (): SimNode | undefined => pick(nodes.all.filter(({ run }) => run !== undefined))
  const later = (range: readonly [number, number], fn: () => void): void => void time.after(between(range), fn)

  const startLater = (node: SimNode, range: readonly [number, number] = AWAY_MS): void =>
    later(range, () => {
      if (node.run === undefined) tell(`${node.name} starts`)
      nodes.start(node)
    })
  const kill = (node: SimNode, power: boolean): void => {
    tell(`${node.name} ${power ? 'loses power' : 'is killed'}`)
    nodes.kill(node, power)
    if (power) totals.powerCuts += 1
    else totals.crashes += 1
    startLater(node)
  }
  const healLines = (): void => {
    wires.cuts.clear()
    nodes.connect()
  }
  const cut = (a: SimNode, b: SimNode): void => {
    const isClosed = chance(0.5)
    const isOneWay = !isClosed && chance(0.5)
    if (isClosed && a.run && b.run) network.disconnect(a.run.network, b.run.network)
    wires.cuts.add(`${a.peer}>${b.peer}`)
    if (!isOneWay) wires.cuts.add(`${b.peer}>${a.peer}`)
    totals.partitions += 1
    tell(`${a.name} is cut off from ${b.name}${isClosed ? ', closed' : isOneWay ? ', one way' : ''}`)
    later(CUT_MS, healLines)
  }
  /** It is there again at once, and the two greet each other anew. */
  const breakLine = (a: SimNode, b: SimNode): void => {
    if (!a.run || !b.run || a === b) return
    tell(`the line of ${a.name} and ${b.name} breaks`)
    network.disconnect(a.run.network, b.run.network)
    totals.partitions += 1
    later(BREAK_MS, nodes.connect)
  }
  const sicken = (node: SimNode, health: 'full' | 'failing'): void => {
    tell(`the disk of ${node.name} is ${health}`)
    node.disk.health = health
    later(SICK_MS, () => {
      node.disk.health = 'well'
    })
  }
  const register = (node: SimNode): void => void nodes.register(node).catch(() => {})

  const always: readonly (() => void)[] = [
    () => {
      const node = some()
      if (node !== undefined) kill(node, chance(0.5))
    },
    () => {
      if (!chance(0.3)) return
      tell('power goes everywhere')
      for (const node of nodes.all) if (node.run !== undefined) kill(node, true)
    },
    () => {
      const node = some()
      if (node?.run?.messages === undefined) return
      tell(`${node.name} stops`)
      totals.stops += 1
      void nodes.stop(node).finally(() => startLater(node))
    },
    () => {
      const node = some()
      if (node === undefined) return
      tell(`${node.name} is gone for long`)
      totals.away += 1
      nodes.kill(node, chance(0.5))
      startLater(node, LONG_MS)
    },
    () => {
      const [a, b] = [pick(nodes.all), pick(nodes.all)]
      if (a !== undefined && b !== undefined && a !== b) cut(a, b)
    },
    () => {
      const [a, b] = [some(), some()]
      if (a !== undefined && b !== undefined) breakLine(a, b)
    },
    () => {
      const process = some()?.run?.process
      if (process === undefined) return
      process.frozenUntil = time.now() + between(FREEZE_MS)
      totals.freezes += 1
      tell(`${process.port.self.name} stands still`)
    },
    () => {
      wires.dropRate = pick([0, 0, 0.02, 0.2]) ?? 0
      wires.doubleRate = pick([0, 0.05, 0.3]) ?? 0
      wires.lateRate = pick([0, 0.05, 0.5]) ?? 0
      wires.lateMs = pick([5, 50, 300]) ?? 5
      wires.breakRate = pick([0, 0.2, 0.5]) ?? 0
      tell(`frames: ${wires.dropRate} lost, ${wires.doubleRate} doubled, ${wires.lateRate} late by ${wires.lateMs}`)
    },
    () => {
      const node = some()
      if (node === undefined) return
      totals.fullDisks += 1
      sicken(node, 'full')
    },
    () => {
      const node = some()
      if (node === undefined) return
      totals.failingDisks += 1
      sicken(node, 'failing')
    },
    () => {
      const node = some()
      if (node === undefined) return
      totals.slowDisks += 1
      tell(`the disk of ${node.name} is slow`)
      node.disk.takesMs = SLOW_SYNC_MS
      for (const range of SLOW_BREAKS_MS) for (const other of nodes.all) later(range, () => breakLine(node, other))
      later(SICK_MS, () => {
        node.disk.takesMs = SYNC_MS
      })
    },
    () => {
      const node = some()
      if (node === undefined) return
      totals.clockJumps += 1
      node.clockOffsetMs = Math.floor((random() * 2 - 1) * JUMP_MS)
      tell(`the clock of ${node.name} jumps to ${node.clockOffsetMs}`)
    },
    () => {
      const node = some()
      if (node === undefined) return
      totals.moods += 1
      const kind = pick(['slow', 'failing', 'failing', 'refusing', 'hanging', 'late'] as const) ?? 'slow'
      node.mood[kind] = pick([0.1, 0.5, 1]) ?? 0
      tell(`programs of ${node.name} are ${kind}: ${node.mood[kind]}`)
      later(MOOD_MS, () => {
        node.mood[kind] = WELL[kind]
      })
    },
    () => {
      const node = some()
      const stops = node?.run?.stops
      if (node === undefined || stops === undefined || stops.size === 0) return
      totals.withoutPrograms += 1
      tell(`nothing at ${node.name} receives`)
      for (const type of stops.values()) void type.stop()
      stops.clear()
      later(DEAF_MS, () => register(node))
    },
  ]
  const ofDisks: readonly (() => void)[] = [
    () => {
      const node = pick(nodes.all)
      if (node === undefined) return
      tell(`a copy of the disk of ${node.name} is taken`)
      node.copy = node.disk.copy()
    },
    () => {
      const node = pick(nodes.all.filter(({ copy, disk }) => copy?.id === disk.id()))
      if (node?.copy === undefined) return
      nodes.kill(node, true)
      node.disk.restore(node.copy)
      totals.setBack += 1
      tell(`the disk of ${node.name} is set back to its copy`)
      startLater(node)
    },
    () => {
      const node = pick(nodes.all)
      if (node === undefined || !chance(0.5)) return
      nodes.kill(node, true)
      node.disk.lose()
      totals.lostDisks += 1
      tell(`${node.name} loses its disk`)
      startLater(node)
    },
  ]
  const all = hasDisksLost ? [...always, ...ofDisks, ...ofDisks] : always

  return {
    strike: () => pick(all)?.(),
    afterEffect(node) {
      if (!chance(AFTER_EFFECT.share)) return
      const { run } = node
      later(AFTER_EFFECT.ms, () => {
        if (run === undefined || node.run !== run) return
        totals.deathsAfterEffects += 1
        kill(node, chance(0.5))
      })
    },
    async heal() {
      nodes.calm()
      Object.assign(wires, { dropRate: 0, doubleRate: 0, lateRate: 0, breakRate: 0 })
      for (const node of nodes.all) {
        node.disk.health = 'well'
        node.disk.takesMs = SYNC_MS
        Object.assign(node.mood, WELL)
        if (node.run === undefined) nodes.start(node)
        else node.run.process.frozenUntil = 0
      }
      healLines()
      await time.until(() => nodes.up().length === nodes.all.length, 60_000)
      for (const node of nodes.all) register(node)
    },
  }
}

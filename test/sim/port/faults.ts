/**
 * What befalls nodes: their processes are killed, power goes, disks fill up, fail, slow down or are lost, processes stand
 * still, lines are cut, messages are lost, late and doubled, leadership is handed over.
 *
 * State: none of its own; everything heals by itself after a while, or with `heal`.
 */
import type { PortNetwork } from '../../../node/testing/virtual/port-network.ts'
import type { Nodes, SimNode } from './node.ts'
import type { Operator } from './operator.ts'
import type { Wires } from './process.ts'

const AWAY_MS = [20, 2_000] as const
const CUT_MS = [200, 4_000] as const
const FREEZE_MS = [200, 3_000] as const
const FULL_MS = [300, 4_000] as const
const SLOW_MS = [500, 3_000] as const
const SLOW_SYNC_MS = [20, 200] as const
const SYNC_MS = [0.2, 3] as const
const FAILING_MS = [0, 150] as const

export interface FaultTotals {
  crashes: number
  powerCuts: number
  fullDisks: number
  failedSyncs: number
  slowDisks: number
  lostDisks: number
  partitions: number
  freezes: number
  transfers: number
}

export const noFaults = (): FaultTotals => ({
  crashes: 0,
  powerCuts: 0,
  fullDisks: 0,
  failedSyncs: 0,
  slowDisks: 0,
  lostDisks: 0,
  partitions: 0,
  freezes: 0,
  transfers: 0,
})

export interface Faults {
  /** One of them, at random. */
  strike(): void
  startLater(node: SimNode): void
  /** It comes back by itself. @param awayMs least and most */
  kill(node: SimNode, power: boolean, awayMs?: readonly [number, number]): void
  /** Everything is well from now on. */
  heal(): void
}

export const createFaults = (
  network: PortNetwork,
  nodes: Nodes,
  wires: Wires,
  operator: Operator,
  totals: FaultTotals,
  tell: (line: string) => void,
): Faults => {
  const { time, random } = network
  const chance = (share: number): boolean => random() < share
  const between = ([least, most]: readonly [number, number]): number => least + random() * (most - least)
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  const some = (): SimNode | undefined => pick(nodes.all.filter(({ life }) => life !== undefined))

  const startLater = (node: SimNode, awayMs: readonly [number, number] = AWAY_MS): void => {
    time.after(between(awayMs), () => {
      if (node.life !== undefined) return
      tell(`${node.name} starts`)
      nodes.start(node)
    })
  }
  const kill = (node: SimNode, power: boolean, awayMs?: readonly [number, number]): void => {
    nodes.kill(node, power)
    totals.crashes += 1
    startLater(node, awayMs)
  }

  const heal = (): void => {
    wires.cuts.clear()
    nodes.connect()
  }
  const cut = (one: readonly SimNode[], other: readonly SimNode[]): void => {
    const isOneWay = chance(0.3)
    // Connections close, or nothing comes through them any more.
    const isClosed = !isOneWay && chance(0.5)
    for (const a of one)
      for (const b of other) {
        if (a === b) continue
        if (isClosed && a.life && b.life) network.disconnect(a.life.network, b.life.network)
        wires.cuts.add(`${a.peer}>${b.peer}`)
        if (!isOneWay) wires.cuts.add(`${b.peer}>${a.peer}`)
      }
    totals.partitions += 1
    const names = (list: readonly SimNode[]): string => list.map(({ name }) => name).join()
    tell(`cut ${names(one)} off from ${names(other)}${isOneWay ? ', one way' : ''}`)
    time.after(between(CUT_MS), () => {
      heal()
      tell('lines are healed')
    })
  }

  const all: readonly (() => void)[] = [
    () => {
      const node = some()
      if (node === undefined) return
      const power = chance(0.6)
      tell(`${node.name} ${power ? 'loses power' : 'is killed'}`)
      kill(node, power)
    },
    () => {
      tell('power goes everywhere')
      totals.powerCuts += 1
      for (const node of nodes.all) if (node.life !== undefined) kill(node, true)
    },
    () => {
      const side = nodes.all.filter(() => chance(0.5))
      cut(
        side,
        nodes.all.filter((node) => !side.includes(node)),
      )
    },
    () => {
      const leader = operator.leader()
      if (leader !== undefined)
        cut(
          [leader],
          nodes.all.filter((node) => node !== leader),
        )
    },
    () => {
      const [a, b] = [pick(nodes.all), pick(nodes.all)]
      if (a !== undefined && b !== undefined && a !== b) cut([a], [b])
    },
    () => {
      const process = some()?.life?.process
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
    },
    () => {
      const node = some()
      if (node === undefined || node.disk.room === 0) return
      const { disk } = node
      disk.room = 0
      totals.fullDisks += 1
      tell(`the disk of ${node.name} is full`)
      time.after(between(FULL_MS), () => {
        disk.room = Number.POSITIVE_INFINITY
        tell(`the disk of ${node.name} has room`)
      })
    },
    () => {
      const node = some()
      if (node === undefined) return
      node.disk.failSync = true
      totals.failedSyncs += 1
      tell(`the next sync of ${node.name} fails`)
      // Such disks are often about to go altogether.
      if (chance(0.5))
        time.after(between(FAILING_MS), () => {
          if (node.life === undefined) return
          tell(`${node.name} loses power`)
          kill(node, true)
        })
    },
    () => {
      const process = some()?.life?.process
      if (process === undefined) return
      process.syncMs = SLOW_SYNC_MS
      totals.slowDisks += 1
      tell(`the disk of ${process.port.self.name} is slow`)
      time.after(between(SLOW_MS), () => {
        process.syncMs = SYNC_MS
      })
    },
    () => {
      const group = operator.leader()?.life?.group
      if (group === undefined) return
      totals.transfers += 1
      tell('leadership is handed over')
      group.transfer()
    },
    // One after the other, and never more than the promise allows: "while a majority of the voters' disks survive".
    () => {
      const node = some()
      if (node === undefined || !operator.isSettled()) return
      totals.lostDisks += 1
      tell(`${node.name} loses its disk`)
      nodes.loseDisk(node)
      startLater(node)
    },
  ]

  return {
    strike: () => pick(all)?.(),
    startLater,
    kill,
    heal() {
      heal()
      Object.assign(wires, { dropRate: 0, doubleRate: 0, lateRate: 0, breakRate: 0 })
      for (const node of nodes.all) {
        node.disk.room = Number.POSITIVE_INFINITY
        node.disk.failSync = false
        if (node.life === undefined) nodes.start(node)
        else Object.assign(node.life.process, { frozenUntil: 0, syncMs: SYNC_MS })
      }
    },
  }
}

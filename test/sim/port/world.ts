/**
 * Nodes with the real driver, the real store and whole Ports between them, in virtual time, under faults: everything
 * follows from the seed. Invariants are looked at after each event; at the end everything heals, and all must agree, have
 * what was acknowledged, and take new commands.
 */
import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import { createClients } from './clients.ts'
import { createDeaths, type DeathTotals } from './deaths.ts'
import { createFaults, type FaultTotals, noFaults } from './faults.ts'
import { createIntruder } from './intruder.ts'
import { createInvariants } from './invariants.ts'
import { createNodes, type NodeTotals } from './node.ts'
import { createOperator } from './operator.ts'
import type { Wires } from './process.ts'

const CLIENT_MS = 20
const OPERATOR_MS = 200
const FAULT_MS = [50, 900] as const
/** After everything has healed the nodes must answer again within this. */
const HEAL_MS = 60_000
const FOREVER_MS = 1e9
/** Far above the elections that a run has. */
const MAX_TERM = 10_000

export interface PortTotals extends FaultTotals, DeathTotals, NodeTotals {
  steps: number
  seconds: number
  elections: number
  changes: number
  lost: number
  doubled: number
  acknowledged: number
  retried: number
  reads: number
  /** Of those: where two believed that they lead. */
  contestedReads: number
  /** Messages of an intruder, and how many messages did not count. */
  forged: number
  doubted: number
}

export interface PortRun {
  readonly seed: number
  /** Events of virtual time under faults. */
  readonly steps: number
  /** A member of the mesh that has no vote lies to all; in some runs it learns. */
  readonly hasIntruder?: boolean
  readonly trace?: ((line: string) => void) | undefined
}

/** @throws what was violated, and at which event */
export const runPortWorld = async ({ seed, steps, trace, hasIntruder = false }: PortRun): Promise<PortTotals> => {
  const network = createPortNetwork({ seed, latencyMs: [0.5, 4] })
  const { time, random } = network
  const tell = (line: string): void => trace?.(`${time.now().toFixed(1).padStart(9)} ${line}`)
  const invariants = createInvariants()
  const wires: Wires = {
    dropRate: 0,
    doubleRate: 0,
    lateRate: 0,
    lateMs: 5,
    breakRate: 0,
    cuts: new Set(),
    counts: { lost: 0, doubled: 0 },
  }
  const totals = { ...noFaults(), snapshots: 0, restores: 0, doubted: 0, deathsInFiles: 0 }
  const count = 3 + 2 * Math.floor(random() * 2)
  const nodes = createNodes({
    network,
    wires,
    invariants,
    totals,
    count,
    tell,
    ended: (node) => {
      totals.crashes += 1
      faults.startLater(node)
    },
    spoke: (node) => {
      if (isFaulty) deaths.afterWords(node)
    },
    changed: (node, change, file) => {
      if (isFaulty && file.endsWith('.log')) deaths.afterChange(node, change)
    },
    connectOthers: () => intruder?.connect(),
  })
  const intruder = hasIntruder ? createIntruder(network, nodes) : undefined
  const operator = createOperator(nodes, time.now, tell, random() < 0.5 ? intruder?.id : undefined)
  const faults = createFaults(network, nodes, wires, operator, totals, tell)
  const deaths = createDeaths(network, faults, totals, tell)
  const clients = createClients(nodes, invariants, time.now, random)
  let events = 0
  let elections = 0
  let isFaulty = true
  const leading = new Map<string, number>()

  /** Looked at between any two events. */
  const look = (): void => {
    events += 1
    for (const node of nodes.up()) {
      const status = node.life?.group?.status()
      if (status?.role !== 'leader') continue
      const id = nodes.idOf(node)
      if (leading.get(id) === status.term) continue
      leading.set(id, status.term)
      elections += 1
      if (status.term > MAX_TERM)
        invariants.failed(`${node.name} leads in term ${status.term}: somebody else pushed it up`)
      tell(`${node.name} leads in term ${status.term}`)
      invariants.leads(node.lost === 0 ? node.name : `${node.name} (disk ${node.lost})`, status.term)
    }
    const problem = invariants.problem()
    if (problem !== undefined) throw new Error(`step ${events}: ${problem}`)
  }
  const advance = (until: () => boolean): Promise<number> =>
    time.until(() => {
      look()
      return until()
    }, FOREVER_MS)

  const strikeLater = (): void => {
    time.after(FAULT_MS[0] + random() * (FAULT_MS[1] - FAULT_MS[0]), () => {
      if (!isFaulty) return
      faults.strike()
      strikeLater()
    })
  }
  for (const node of nodes.all) nodes.start(node)
  time.every(CLIENT_MS, clients.act)
  time.every(OPERATOR_MS, operator.act)
  time.after(1_200, strikeLater)
  await advance(() => events >= steps)
  const seconds = time.now() / 1_000

  isFaulty = false
  tell('everything heals')
  faults.heal()
  const healedAt = time.now()
  const goal = invariants.highest()
  const before = clients.counts.acknowledged
  const isWell = (): boolean =>
    nodes.up().length === count &&
    clients.counts.acknowledged >= before + 5 &&
    operator.isSettled() &&
    nodes.all.every(({ life }) => (life?.machine.index() ?? 0) >= goal)
  await advance(() => isWell() || time.now() > healedAt + HEAL_MS)
  if (!isWell()) throw new Error(`step ${events}: ${HEAL_MS / 1_000} s after everything healed the nodes do not answer`)
  // What is acknowledged from here on others may not have yet.
  const since = invariants.acknowledgedNow()
  const lost = (): string | undefined => {
    for (const { name, life } of nodes.all) {
      const missing = life && invariants.misses(since, life.machine)
      if (missing !== undefined) return `${name} has lost ${missing}, which was acknowledged`
    }
    return undefined
  }
  await advance(() => lost() === undefined || time.now() > healedAt + 2 * HEAL_MS)
  const problem = lost()
  for (const node of nodes.all) nodes.kill(node, false)
  intruder?.stop()
  if (problem !== undefined) throw new Error(`step ${events}: ${problem}`)
  return {
    ...totals,
    ...wires.counts,
    ...clients.counts,
    ...operator.counts,
    steps: events,
    seconds: Math.round(seconds),
    elections,
    forged: intruder?.counts.forged ?? 0,
  }
}

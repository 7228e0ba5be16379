/**
 * Nodes with the real delivery, in virtual time, under faults: everything follows from the seed. Bounds are looked at all
 * the time; at the end everything heals, all that was accepted must be delivered or a dead letter within a bounded time,
 * and the rows on the disks must tell of each message what its guarantee says.
 */

import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import type { Messages } from '../../../protocols/delivery/api.ts'
import type { Wires } from '../port/process.ts'
import { createClients } from './clients.ts'
import { createFaults, type FaultTotals, noFaults } from './faults.ts'
import type { Dead } from './ledger.ts'
import { createNodes, type SimNode } from './node.ts'

const CLIENT_MS = 25
const LOOK_MS = 100
const FAULT_MS = [20, 500] as const
/** After everything has healed all that was accepted must have been delivered, or be given up, within this. */
const HEAL_MS = 120_000
/** A store that was opened again has been read by then, and what was put off is on the disk. */
const SETTLE_MS = 1_000
const FOREVER_MS = 1e9
/** Share of the runs in which disks are lost and set back. */
const DISKS_LOST = 0.35

export interface DeliveryRun {
  readonly seed: number
  /** Events of virtual time under faults. */
  readonly steps: number
  readonly trace?: ((line: string) => void) | undefined
}

/** @throws what was violated, and at which event */
export const runDeliveryWorld = async ({ seed, steps, trace }: DeliveryRun): Promise<Record<string, number>> => {
  const network = createPortNetwork({ seed, latencyMs: [0.5, 4] })
  const { time, random } = network
  const tell = (line: string): void => trace?.(`${time.now().toFixed(1).padStart(9)} ${line}`)
  const wires: Wires = {
    dropRate: 0,
    doubleRate: 0,
    lateRate: 0,
    lateMs: 5,
    breakRate: 0,
    cuts: new Set(),
    counts: { lost: 0, doubled: 0 },
  }
  const totals: FaultTotals = noFaults()
  const counts = { progressed: 0, delivery: {} as Record<string, number> }
  const count = 2 + Math.floor(random() * 4)
  const acted = (node: SimNode): void => {
    if (isFaulty) faults.afterEffect(node)
  }
  const nodes = createNodes({ network, wires, count, counts, isTraced: trace !== undefined, tell, acted })
  const { ledger } = nodes
  const hasDisksLost = random() < DISKS_LOST
  const faults = createFaults({ network, nodes, wires, totals, hasDisksLost, tell })
  const clients = createClients(network, nodes)
  let events = 0
  let isFaulty = true

  const lookAt = (node: SimNode, messages: Messages): void => {
    const { window = 0, outboxMessages = 0, concurrency = 0, heldBytes = 0, windowBytes = 0 } = node.options
    const figures = messages.figures()
    const check = (what: string, is: number, most: number): void => {
      if (is > most) ledger.failed(`${node.name} has ${is} ${what}, and ${most} at most`)
    }
    // Handlers that answer may fill it twice.
    check('messages in its outbox', figures.outbox, 2 * outboxMessages)
    check('handlers at work', figures.running - (node.run?.fired ?? 0), concurrency)
    check('bytes of held messages', figures.heldBytes, heldBytes + count * (windowBytes + 8_192))
    for (const { peer, inFlight } of figures.destinations)
      check(`messages on their way to ${nodes.nameOf(peer)}`, inFlight, window)
  }
  const look = (): void => {
    events += 1
    const problem = ledger.problem()
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
  const isDrained = (): boolean =>
    nodes.all.every(({ run }) => {
      const figures = run?.messages?.figures()
      return run?.store.state() === 'open' && figures !== undefined && figures.outbox === 0 && figures.held === 0
    })
  const stuck = (): string =>
    nodes.all
      .flatMap(({ name, run }) => {
        const figures = run?.messages?.figures()
        if (figures === undefined) return [`${name} is not there`]
        const waiting = figures.destinations
          .filter((one) => one.waiting + one.inFlight > 0)
          .map((one) => `${one.waiting}+${one.inFlight} for ${nodes.nameOf(one.peer)} (${one.state}, ${one.breaker})`)
        return figures.outbox + figures.held === 0
          ? []
          : [`${name} has ${figures.outbox} in its outbox: ${waiting.join(', ')}; holds ${figures.held}`]
      })
      .join('; ')
  const findDead = async (): Promise<Dead[]> => {
    const dead: Dead[] = []
    for (const { node, messages } of nodes.up())
      for (let after: string | undefined; ; ) {
        const letters = await messages.deadLetters.list({ limit: 1_000, ...(after !== undefined && { after }) })
        for (const { id, destination } of letters) {
          const { data } = await messages.deadLetters.show(id)
          const to = destination.startsWith('capability:') ? undefined : nodes.nameOf(destination)
          // All messages of this simulation have it.
          dead.push({ id: (data as { id: number }).id, from: node.name, to })
        }
        after = letters.at(-1)?.id
        if (after === undefined) break
      }
    return dead
  }

  const onRejection = (error: unknown): void =>
    ledger.failed(`nobody handles this: ${error instanceof Error ? error.stack : String(error)}`)
  process.on('unhandledRejection', onRejection)
  try {
    for (const node of nodes.all) nodes.start(node)
    const stopClients = time.every(CLIENT_MS, clients.act)
    time.every(LOOK_MS, () => {
      for (const { node, messages } of nodes.up()) lookAt(node, messages)
    })
    time.after(600, strikeLater)
    await advance(() => events >= steps)
    const seconds = time.now() / 1_000

    isFaulty = false
    stopClients()
    tell('everything heals')
    await faults.heal()
    const healedAt = time.now()
    for (let isWell = false; !isWell; ) {
      await advance(() => isDrained() || time.now() > healedAt + HEAL_MS)
      if (!isDrained()) throw new Error(`step ${events}: ${HEAL_MS / 1_000} s after everything healed: ${stuck()}`)
      const settled = time.now() + SETTLE_MS
      await advance(() => time.now() >= settled)
      isWell = isDrained()
    }
    const dead = await time.settled(findDead(), 60_000)
    ledger.audit(dead)
    look()
    const drained = time.now() - healedAt
    for (const node of nodes.all) nodes.kill(node, false)
    return {
      ...totals,
      ...wires.counts,
      ...ledger.counts,
      progressed: counts.progressed,
      dead: dead.length,
      steps: events,
      seconds: Math.round(seconds),
      drainedMs: Math.round(drained),
      ...Object.fromEntries(Object.entries(counts.delivery).map(([what, by]) => [`delivery ${what}`, by])),
    }
  } finally {
    process.off('unhandledRejection', onRejection)
  }
}

/**
 * A node of the simulated mesh: the real delivery over a model of its store, in a process that dies and comes back.
 *
 * State: its disk, which outlives its processes; its settings; the process that runs now.
 */

import * as z from 'zod'
import { createFaultyDisk } from '../../../node/testing/virtual/faulty-disk.ts'
import { createLife, type Life as PortLife } from '../../../node/testing/virtual/port-life.ts'
import type { NetworkNode, PortNetwork } from '../../../node/testing/virtual/port-network.ts'
import { createRowsDisk, type RowsCopy, type RowsDisk } from '../../../node/testing/virtual/rows-disk.ts'
import { type ModelStore, openRowsStore } from '../../../node/testing/virtual/rows-store.ts'
import { VirtualCalls } from '../../../node/testing/virtual/virtual-calls.ts'
import type { MessagesFeature } from '../../../protocols/delivery/api.ts'
import { createDelivery } from '../../../protocols/delivery/delivery.ts'
import type { DeliveryOptions } from '../../../protocols/delivery/options.ts'
import type { BreakerSettings } from '../../../protocols/delivery/recovery/circuit-breaker.ts'
import { BINDINGS } from '../../../protocols/delivery/store/delivery-rows.ts'
import type { Registration } from '../../../protocols/registration.ts'
import { decodePayload } from '../../../protocols/wire/payload/payload.ts'
import { createProcess, type Process, type Wires } from '../port/process.ts'
import { lineOf } from './frame-trace.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { lossyPort } from './lossy-port.ts'
import { Work } from './messages.ts'
import { createPrograms, type Mood, WELL } from './programs.ts'
import { breakerFrom, optionsFrom } from './settings.ts'

/** As the delivery keeps who a conversation goes to. */
const Binding = z.object({ conversation: z.string(), peer: z.string(), movedAt: z.number().optional() })

export interface NodeRun {
  readonly network: NetworkNode
  readonly self: PortLife
  readonly process: Process
  readonly store: ModelStore
  /** Once it has read its rows. */
  messages: MessagesFeature | undefined
  /** Handlers at work for messages that are not kept. */
  fired: number
  /** Programs that receive. */
  stops: Map<string, Registration>
  isOver: boolean
}

export interface SimNode {
  readonly name: string
  readonly peer: string
  readonly disk: RowsDisk
  readonly options: DeliveryOptions
  readonly breaker: BreakerSettings
  readonly mood: Mood
  /** Of its wall clock. */
  clockOffsetMs: number
  copy: RowsCopy | undefined
  run: NodeRun | undefined
}

export interface Nodes {
  readonly all: readonly SimNode[]
  readonly ledger: Ledger
  /** Those that run and have read their rows. */
  up(): { readonly node: SimNode; readonly messages: MessagesFeature }[]
  nameOf(peer: string): string
  start(node: SimNode): void
  /** As SIGKILL does; `power`: what was not synced may be lost. */
  kill(node: SimNode, power: boolean): void
  /** In order, and starts again. */
  stop(node: SimNode): Promise<void>
  connect(): void
  register(node: SimNode): Promise<void>
  /** From now on programs receive as soon as their node runs. */
  calm(): void
}

export interface NodesDeps {
  readonly network: PortNetwork
  readonly wires: Wires
  readonly count: number
  readonly counts: { progressed: number; delivery: Record<string, number> }
  /** Frames are told, too. */
  readonly isTraced: boolean
  tell(line: string): void
  /** One of its programs has the result of an outside effect. */
  acted(node: SimNode): void
}

export const createNodes = ({ network, wires, count, counts, isTraced, tell, acted }: NodesDeps): Nodes => {
  const { time, random } = network
  /** Calls of a node to itself. */
  const loops = new VirtualCalls(time)
  const all = Array.from({ length: count }, (_, i): SimNode => {
    const name = `n${i}`
    // Ids are made from names; a node tells its own.
    const probe = network.start(name)
    probe.kill()
    return {
      name,
      peer: probe.id,
      disk: createRowsDisk(random),
      options: optionsFrom(random),
      breaker: breakerFrom(random),
      mood: { ...WELL },
      clockOffsetMs: 0,
      copy: undefined,
      run: undefined,
    }
  })
  const ledger = createLedger(all)
  let isCalm = false
  const receive = createPrograms(time, random, ledger)
  const nameOf = (peer: string): string => all.find((node) => node.peer === peer)?.name ?? peer

  const connect = (): void => {
    for (const a of all)
      for (const b of all) {
        if (a.peer >= b.peer || a.run === undefined || b.run === undefined) continue
        network.connect(a.run.network, b.run.network)
      }
  }

  /** Its counts are gone with it. */
  const note = ({ messages }: NodeRun): void => {
    for (const [what, by] of Object.entries(messages?.figures().counts ?? {}))
      counts.delivery[what] = (counts.delivery[what] ?? 0) + by
  }

  const end = (node: SimNode): NodeRun | undefined => {
    const { run: life } = node
    if (life === undefined) return undefined
    note(life)
    node.run = undefined
    life.isOver = true
    life.store.kill()
    life.self.end()
    life.network.kill()
    return life
  }

  const register = async (node: SimNode): Promise<void> => {
    const { run: life } = node
    if (life?.messages === undefined || life.stops.size > 0) return
    const host = {
      name: node.name,
      mood: node.mood,
      handlerTimeoutMs: node.options.handlerTimeoutMs ?? 0,
      generation: node.disk.generation(),
      isOver: () => life.isOver,
      nameOf,
      progressed: () => {
        counts.progressed += 1
      },
      acted: () => acted(node),
      fired: (by: number) => {
        life.fired += by
      },
    }
    life.stops = await receive(host, life.messages)
  }

  /** A node that offers it, as the directory knows: it may be gone meanwhile. */
  const choose = (capability: string, except: (peer: string) => boolean = () => false): string | undefined => {
    const offering = all.filter(
      ({ run: life, peer }) => capability === Work.type && (life?.stops.size ?? 0) > 0 && !except(peer),
    )
    return offering[Math.floor(random() * offering.length)]?.peer
  }

  /** Tells the ledger of each conversation that is about to be moved. */
  const watched = (node: SimNode, store: ModelStore): ModelStore => ({
    ...store,
    commit(changes) {
      for (const { key, value } of changes) {
        if (!key.startsWith(BINDINGS) || !(value instanceof Uint8Array)) continue
        const { conversation, peer, movedAt } = Binding.parse(decodePayload('cbor', value))
        if (movedAt === undefined) continue
        tell(`${node.name} moves ${conversation} to ${nameOf(peer)}`)
        ledger.moved(node.name, conversation, nameOf(peer))
      }
      return store.commit(changes)
    },
  })

  const start = (node: SimNode): void => {
    if (node.run !== undefined) return
    const inner = network.start(node.name)
    const self = createLife(inner.port, loops, time)
    const process = createProcess(self.port, createFaultyDisk().mount(), time, random, wires, () => {})
    const store = watched(node, openRowsStore(node.disk, time, random))
    const life: NodeRun = {
      network: inner,
      self,
      process,
      store,
      messages: undefined,
      fired: 0,
      stops: new Map(),
      isOver: false,
    }
    node.run = life
    const clock = { ...process.port.clock, now: () => process.port.clock.now() + node.clockOffsetMs }
    const port = lossyPort({ ...process.port, clock }, self.port, wires, random, (peer, method, input) => {
      const line = isTraced ? lineOf(method, input) : undefined
      if (line !== undefined) tell(`  ${node.name} > ${nameOf(peer)} ${line}`)
    })
    connect()
    const deps = {
      port,
      store,
      isVolatile: false,
      choose,
      absentMs(peer: string, capability?: string): number {
        const life = all.find((one) => one.peer === peer)?.run
        return life !== undefined && capability !== undefined && life.stops.size === 0 ? Number.POSITIVE_INFINITY : 0
      },
      publish: async () => {},
      announce: async () => async () => {},
      chance: random,
    }
    createDelivery(deps, { ...node.options, breaker: node.breaker }).then(
      async (messages) => {
        if (life.isOver) return
        life.messages = messages
        tell(`${node.name} has read its rows: ${messages.figures().outbox} in the outbox`)
        if (isCalm || random() < 0.8) await register(node)
      },
      (error: unknown) => {
        if (life.isOver) return
        const message = error instanceof Error ? error.message : String(error)
        tell(`${node.name} cannot read its rows: ${message}`)
        if (node.disk.health === 'well' && store.state() === 'open')
          ledger.failed(`${node.name} does not start: ${message}`)
        end(node)
        time.after(500, () => start(node))
      },
    )
  }

  return {
    all,
    ledger,
    nameOf,
    up: () => all.flatMap((node) => (node.run?.messages === undefined ? [] : [{ node, messages: node.run.messages }])),
    start,
    kill(node, power) {
      end(node)
      if (power) node.disk.losePower()
    },
    async stop(node) {
      const { run: life } = node
      if (life?.messages === undefined) return
      await life.messages.stop()
      await life.store.close().catch((error: unknown) => tell(`${node.name} closes: ${String(error)}`))
      if (node.run === life) end(node)
    },
    connect,
    register,
    calm() {
      isCalm = true
    },
  }
}

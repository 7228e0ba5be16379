/**
 * A node of a test mesh: directory, events, messages, commands and parts as a real node has them, over a Port of the
 * virtual network. Its disk outlives it.
 *
 * State: the features'; of its own what it serves, for its record in the directory.
 */

import { createDirectory, type Directory } from '../../discovery/directory/directory.ts'
import { resolveTarget } from '../../discovery/directory/find-agent.ts'
import type { ProtocolRecord } from '../../discovery/directory/record/agent-record.ts'
import { describe } from '../../discovery/directory/record/describe-protocol.ts'
import { createCommands } from '../../protocols/command/commands.ts'
import { type AnyProtocol, type Handlers, majorOf, wireId } from '../../protocols/define.ts'
import { DeliveryOptionsSchema } from '../../protocols/delivery/options.ts'
import { failedCallOf } from '../../protocols/delivery/recovery/error-recovery.ts'
import { createEvents } from '../../protocols/events/events.ts'
import { NO_CHAINS } from '../../protocols/interceptors/chains.ts'
import type { AnyPart, Token } from '../../protocols/part.ts'
import type { Port } from '../../protocols/port.ts'
import { createRegistration } from '../../protocols/registration.ts'
import { tokens } from '../../protocols/tokens.ts'
import type { Mesh } from '../api.ts'
import { startDurableMessages } from '../parts/durable-messages.ts'
import { PartRunner } from '../parts/runner.ts'
import { createLoggedQuota } from '../store/logged-quota.ts'
import { createNodeClients } from './node-clients.ts'
import { createLife } from './virtual/port-life.ts'
import type { LogLine, PortNetwork } from './virtual/port-network.ts'
import type { RowsDisk } from './virtual/rows-disk.ts'
import { openRowsStore } from './virtual/rows-store.ts'
import type { VirtualCalls } from './virtual/virtual-calls.ts'

const MAX_DISK_BYTES = 2 ** 30

export interface TestNodeOptions {
  /** Parts of yours, as `createMesh` takes them. They may need events, messages and commands. */
  readonly parts?: readonly AnyPart[]
  /** Their options, by the names of the parts. */
  readonly partOptions?: Readonly<Record<string, unknown>>
}

/** What a program uses of a real `Mesh`, and what the node logged. */
export interface TestNode
  extends Pick<
    Mesh,
    'events' | 'messages' | 'directory' | 'commands' | 'port' | 'serve' | 'to' | 'any' | 'all' | 'part'
  > {
  readonly self: Port['self']
  /** What it logged, oldest first. */
  readonly logs: readonly LogLine[]
  isUp(): boolean
}

export interface RunningNode {
  readonly node: TestNode
  /** Says goodbye and ends. */
  stop(): Promise<void>
  /** As SIGKILL does. */
  kill(): void
}

interface Ground {
  readonly network: PortNetwork
  readonly loops: VirtualCalls
  readonly disk: RowsDisk
}

/** What this node offers, told to the directory. */
const createOffers = (port: Port, directory: Directory) => {
  const records = new Map<string, ProtocolRecord>()
  const tell = (): Promise<void> => directory.announce({ protocols: [...records.values()], labels: {}, addresses: [] })
  const advertise = async (id: string, record: ProtocolRecord): Promise<() => Promise<void>> => {
    records.set(id, record)
    await tell()
    return () => {
      records.delete(id)
      return tell()
    }
  }
  const serve = async <P extends AnyProtocol>(protocol: P, handlers: Handlers<P>): Promise<() => Promise<void>> => {
    const unserve = await port.serve(protocol, handlers)
    const offer = await advertise(wireId(protocol), describe(protocol))
    return async () => {
      await offer()
      await unserve()
    }
  }
  return { advertise, serve, own: () => records.values() }
}

/** Which other node may run a command. */
const chooser =
  (directory: Directory, random: () => number) =>
  async (protocols: readonly string[], major: number, tried: ReadonlySet<string>): Promise<string | undefined> => {
    const all = directory.agents().filter(({ self, peer, record }) => {
      const has = (name: string) => record.protocols.some((one) => one.name === name && majorOf(one.version) === major)
      return !self && !tried.has(peer) && protocols.every(has)
    })
    return all[Math.floor(random() * all.length)]?.peer
  }

export const startTestNode = async (
  { network, loops, disk }: Ground,
  name: string,
  options: TestNodeOptions,
  connect: (node: ReturnType<PortNetwork['start']>) => void,
): Promise<RunningNode> => {
  const inner = network.start(name)
  const life = createLife(inner.port, loops, network.time)
  const { port } = life
  const store = openRowsStore(disk, network.time, network.random)
  let isUp = true
  connect(inner)
  const directory = await createDirectory(port)
  const events = createEvents(port)
  const offers = createOffers(port, directory)
  const quota = createLoggedQuota(MAX_DISK_BYTES, port.clock, port.log)
  const messages = await startDurableMessages({
    ...{ port, quota, directory, events, advertise: offers.advertise },
    rows: Promise.resolve(store),
    dataDir: 'virtual',
    settings: DeliveryOptionsSchema.parse({}),
    loadOf: () => 0,
    chains: NO_CHAINS,
  })
  const choose = chooser(directory, network.random)
  const peerOf = (given: unknown): string => resolveTarget(directory.agents, given, 'commands.send()')
  // Requests have no envelopes here, by which they would be measured.
  const commands = createCommands({ port, serve: offers.serve, choose, peerOf, bytesOf: () => 0 })
  const clients = createNodeClients({
    ...{ port, directory, own: offers.own, chance: network.random },
    onDeadLetter: (letter) => messages.addFailedCall(failedCallOf(letter)),
  })
  const parts = new PartRunner({
    parts: options.parts ?? [],
    provides: [tokens.events, tokens.messages, tokens.commands],
    port: () => ({ ...port, serve: offers.serve }),
    section: (part) => options.partOptions?.[part.name],
    quota,
  })
  await parts.prepare()
  parts.provide(tokens.events, events)
  parts.provide(tokens.messages, messages)
  parts.provide(tokens.commands, commands)
  await parts.start()

  const kill = (): void => {
    isUp = false
    store.kill()
    life.end()
    inner.kill()
  }
  const node: TestNode = {
    ...{ self: port.self, port, events, messages, directory, commands, logs: inner.logs },
    serve: async (protocol, handlers) => createRegistration(await offers.serve(protocol, handlers)),
    part: <Api>(part: Token<Api>) => parts.use(part),
    ...{ to: clients.to, any: clients.any, all: clients.all },
    isUp: () => isUp,
  }
  return {
    node,
    kill,
    async stop() {
      await directory.leave()
      await parts.stop()
      await messages.stop()
      commands.stop()
      await events.stop()
      await directory.stop()
      kill()
    },
  }
}

/**
 * Step of a start: how others reach this node. Its record in the directory, whether it can be dialled, and relays where it
 * cannot.
 */
import { multiaddr } from '@multiformats/multiaddr'
import type { Directory } from '../../discovery/directory/directory.ts'
import { describe } from '../../discovery/directory/record/describe-protocol.ts'
import { wireId } from '../../protocols/define.ts'
import type { Interception } from '../calls/interception/interception.ts'
import { recordRequests } from '../calls/recorded-calls.ts'
import { type Autonat, createAutonat } from '../network/nat/autonat.ts'
import type { RelayClient } from '../network/nat/relay-client.ts'
import { type Advertiser, createAdvertiser } from '../parts/advertise.ts'
import { chance, clock, timers } from '../platform/platform.ts'
import type { NodeCore } from './node-core.ts'
import type { Presence } from './start-presence.ts'

/** What this node offers, told to everyone: the protocols of parts are told from the start. */
const startAdvertiser = async (
  { startup, network }: NodeCore,
  directory: Directory,
  activity: Presence['activity'],
  interception: Interception,
): Promise<Advertiser> => {
  const { options, identity } = startup
  const { addServed, addresses, extensions, router, state } = network
  const advertiser = createAdvertiser({
    self: identity,
    labels: () => options.labels,
    directory,
    router,
    addresses,
    addServed: (served) =>
      addServed(recordRequests(interception.serving(served), (call) => extensions.recordCall.current(call))),
    isLeaving: () => state.leaving,
    isStuck: () => activity.current().state === 'stuck',
  })
  extensions.ownCandidate.give((protocol, major) => advertiser.ownCandidate(protocol, major))
  for (const { protocols = [] } of options.parts)
    for (const protocol of protocols) await advertiser.advertise(wireId(protocol), describe(protocol))
  await advertiser.announce()
  return advertiser
}

type DialDirect = (address: string, signal: AbortSignal) => ReturnType<Parameters<typeof createAutonat>[0]['dial']>

/** @returns undefined where this node neither uses relays nor is one */
const startRelays = async (
  { startup, network, undo }: NodeCore,
  directory: Directory,
  { advertise }: Advertiser,
  announceAgain: () => void,
  reach: Autonat,
  dial: DialDirect,
): Promise<RelayClient | undefined> => {
  const { options, log } = startup
  const { relay } = options.discovery
  if (relay.use === 'never' && !relay.serve) return undefined
  const { circuits, extensions, gate, libp2p, ownAddresses, ownPort, peers, supervisor } = network
  const { startRelayClient } = await import('../network/nat/relay-client.ts')
  const client = await startRelayClient(
    {
      port: ownPort,
      clock,
      timers,
      log,
      circuits,
      peers,
      reach,
      directory,
      server: { gate, handle: (...given) => libp2p.handle(...given) },
      chance,
      addresses: ownAddresses,
      connect: (peer) => supervisor.connect(peer),
      dial,
      advertise,
      changed: announceAgain,
      upgradeMs: options.timings.backoffMaxMs,
    },
    relay,
  )
  undo.push(() => client.stop())
  extensions.relays.give(client)
  return client
}

export const startReachability = async (
  core: NodeCore,
  directory: Directory,
  activity: Presence['activity'],
  interception: Interception,
) => {
  const { startup, network } = core
  const { admission, extensions, libp2p, ownPort, state } = network
  const advertiser = await startAdvertiser(core, directory, activity, interception)
  const dial: DialDirect = (address, signal) => libp2p.services.direct.dial(multiaddr(address), signal)
  const reach = await createAutonat({ port: ownPort, dial, admit: (connection) => admission.begin(connection), chance })
  extensions.isDialBack.give((connection) => reach.isDialBack(connection))
  /** For what changes in the record while the node runs. */
  const announceAgain = (): void => {
    if (state.leaving) return
    advertiser.announce().catch((error: unknown) => startup.log.warn('the own record could not be written', { error }))
  }
  const relays = await startRelays(core, directory, advertiser, announceAgain, reach, dial)
  return { advertiser, announceAgain, relays }
}

export type Reachability = Awaited<ReturnType<typeof startReachability>>

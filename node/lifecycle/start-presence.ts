/**
 * Steps of a start: who is there. The directory; then the failure detector beside it, whether the own agent is stuck, which
 * connections nobody needs, and whether requests wait for each other.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import { createDirectory, type Directory } from '../../discovery/directory/directory.ts'
import { raftProtocol } from '../../protocols/consensus/contract.ts'
import { wireId } from '../../protocols/define.ts'
import type { createEvents } from '../../protocols/events/events.ts'
import { startDeadlockDetection } from '../../protocols/wait-graph/deadlock-detection.ts'
import { createConnectionPruning } from '../network/connection-pruning.ts'
import type { Network } from '../network/network.ts'
import { createSlotWaits } from '../network/slot-waits.ts'
import { createNeighbours } from '../observe/debug/sources/neighbours.ts'
import { createFailureDetection } from '../parts/failure-detection.ts'
import { createStuckDetection } from '../parts/stuck-detection.ts'
import { chance } from '../platform/platform.ts'
import type { NodeCore } from './node-core.ts'

/** Whoever announces an address is to be connected to, until it leaves. */
const dialAnnounced = (directory: Pick<Directory, 'onChange'>, supervisor: Network['supervisor']): void => {
  directory.onChange((change) => {
    const { peer } = change.agent
    if (change.agent.self) return
    // Who tells no address (a node that only dials) cannot be dialled: it comes by itself.
    const reachable = change.agent.record.addresses.length > 0
    if (change.type === 'left') {
      // Given up or found dead: it may come back.
      if (change.reason === 'gone' || change.reason === 'dead') supervisor.markUnreachable(peer)
      else supervisor.removePeer(peer)
    } else if (reachable) supervisor.addPeer(peer)
  })
}

export const startDirectory = async ({ startup, network, undo }: NodeCore): Promise<Directory> => {
  const { timings, limits } = startup.options
  const directory = await createDirectory(network.ownPort, {
    ttlMs: timings.recordTtlMs,
    syncPeriodMs: timings.syncPeriodMs,
    maxAgents: limits.maxAgents,
  })
  undo.push(() => directory.stop())
  network.extensions.directory.give(directory)
  dialAnnounced(directory, network.supervisor)
  return directory
}

const startActivity = ({ startup, network }: NodeCore, directory: Directory) => {
  const { options, log, metrics } = startup
  return createStuckDetection(
    {
      port: network.ownPort,
      log,
      metrics,
      slots: network.slots,
      announce(isStuck) {
        if (network.state.leaving) return
        directory
          .announce({ stuck: isStuck ? true : undefined })
          .catch((error: unknown) => log.warn('the own record could not be written', { error }))
      },
    },
    options.timings,
  )
}

/** Gives up connections that neither the mesh nor a program needs. */
const startPruning = async ({ network }: NodeCore) => {
  const { ownPort, overlay, peers, links, router, extensions } = network
  const pruning = await createConnectionPruning({
    port: ownPort,
    overlay,
    peers,
    chance,
    used: (connection) =>
      extensions.relays.current?.isNeeded(connection) === true ||
      [...links.protocols(connection.remotePeer.toString()), ...router.protocols(connection)].some(
        (protocolId) => !router.isOwn(protocolId) || protocolId === wireId(raftProtocol),
      ),
    retire(connection) {
      peers.retire(connection)
      links.drainConnection(connection)
    },
  })
  extensions.connectionPruning.give((peer) => pruning.decision(peer))
  return pruning
}

export const startPresence = async (
  core: NodeCore,
  directory: Directory,
  events: Pick<ReturnType<typeof createEvents>, 'listening'>,
) => {
  const { startup, network, undo } = core
  const { log, options } = startup
  const { ownPort, libp2p, router, slots } = network
  const { timings } = options
  const load = () => ({ load: slots.active(), queueLength: slots.queued() })
  const activity = startActivity(core, directory)
  undo.push(async () => activity.stop())
  const presence = await createFailureDetection(
    {
      port: ownPort,
      log,
      load,
      activity: activity.current,
      directory,
      cutOff(peer, silentMs) {
        log.warn(`a peer was silent for ${Math.round(silentMs)} ms and is disconnected`, { peer })
        for (const connection of libp2p.getConnections(peerIdFromString(peer))) {
          connection.abort(new Error(`the peer was silent for ${Math.round(silentMs)} ms`))
        }
      },
    },
    {
      periodMs: timings.probePeriodMs,
      timeoutMs: timings.probeTimeoutMs,
      suspectAfter: timings.suspectAfter,
      deadAfterMs: timings.deadAfterMs,
    },
  )
  network.extensions.peerLoad.give((peer) => presence.load(peer))
  const pruning = await startPruning(core)
  const { listening } = events
  const neighbours = await createNeighbours({ port: ownPort, rttMs: presence.rttMs, agents: directory.size, listening })
  const waits = createSlotWaits({ self: ownPort.self.id, router, slots })
  const deadlocks = await startDeadlockDetection({ port: ownPort, waits })
  undo.push(() => deadlocks.stop())
  network.upkeep.start((peer) => directory.markGone(peer))
  return { activity, presence, pruning, neighbours, deadlocks, load }
}

export type Presence = Awaited<ReturnType<typeof startPresence>>

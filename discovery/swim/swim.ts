/**
 * The failure detector over a Port. Each probe is a call over the mesh's own links, its answer the acknowledgement; claims
 * ride on both. Beside that it keeps what neighbours tell of their load, and how long their answers take.
 *
 * State: that of its driver (swim-driver.ts). All of it is dropped at `stop`.
 */
import type { Activity } from '../agent-activity.ts'
import type { Departure } from '../directory/record/agent-record.ts'
import type { MemberStatus } from './membership-update.ts'
import { presenceProtocol } from './protocol.ts'
import { type SwimDeps, SwimDriver } from './swim-driver.ts'
import type { SwimSettings } from './swim-settings.ts'
import type { SwimCounts } from './swim-state.ts'

export interface Swim {
  load(peer: string): { load: number; queueLength: number } | undefined
  /** How a neighbour gets on with its work, as it told last; undefined where it did not. */
  activity(peer: string): Activity | undefined
  rttMs(peer: string): number | undefined
  /** Milliseconds since a connected peer was heard last. */
  silentMs(peer: string): number | undefined
  /**
   * Neighbours that have not answered this node for so long although it asked them again and again, whatever others say
   * of them: what stands between the two of them is broken, and a new connection may do.
   */
  unresponsive(forMs: number): { readonly peer: string; readonly silentMs: number }[]
  /** Of a peer that nobody speaks of: alive. */
  statusOf(peer: string): MemberStatus
  /** The directory has a record of this start of the peer. */
  member(peer: string, incarnation: number): void
  /** It said goodbye. */
  left(peer: string, incarnation: number, departure: Departure | undefined): void
  /** This node has said goodbye. */
  leave(): void
  stats(): SwimCounts & { suspects: number; rumours: number; rumoursDropped: number; health: number }
  stop(): Promise<void>
}

/** Probes without an answer before a way counts as broken: in a large mesh a neighbour is not heard for a while anyway. */
const UNANSWERED = 3

/** Starts to probe once the protocol is served. */
export const createSwim = async (deps: SwimDeps, settings: Partial<SwimSettings> = {}): Promise<Swim> => {
  const { port } = deps
  const now = (): number => port.clock.monotonic()
  const driver = new SwimDriver(deps, settings)
  const { state, heartbeats } = driver
  const unserve = await port.serve(presenceProtocol, driver.handlers())
  const stopMembers = port.onMember(({ id }, change, parted = false) =>
    change === 'joined' ? driver.connected(id) : driver.disconnected(id, parted),
  )
  for (const { id } of port.members()) driver.connected(id)
  driver.start()

  return {
    load: (peer) => heartbeats.load(peer),
    activity: (peer) => heartbeats.activity(peer),
    rttMs: (peer) => heartbeats.rttMs(peer),
    silentMs(peer) {
      const member = state.neighbours.get(peer)
      return member === undefined ? undefined : Math.max(0, now() - member.lastSeenAtMs)
    },
    unresponsive: (forMs) =>
      [...state.neighbours.values()]
        .filter(({ unanswered, unansweredSinceMs }) => unanswered >= UNANSWERED && now() - unansweredSinceMs > forMs)
        .map(({ peer, unansweredSinceMs }) => ({ peer, silentMs: now() - unansweredSinceMs })),
    statusOf: (peer) => state.members.get(peer)?.standing ?? 'alive',
    member: (peer, incarnation) => void driver.take({ type: 'member', peer, incarnation }),
    left: (peer, incarnation, departure) => void driver.take({ type: 'left', peer, incarnation, departure }),
    leave: () => void driver.take({ type: 'leave' }),
    stats: () => ({
      ...state.counts,
      suspects: state.suspects.size,
      rumours: state.broadcasts.size(),
      rumoursDropped: state.broadcasts.dropped(),
      health: state.health,
    }),
    async stop() {
      stopMembers()
      driver.stop()
      await unserve()
    },
  }
}

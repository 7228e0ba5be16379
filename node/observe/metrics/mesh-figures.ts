/**
 * What a node counts, as plain numbers: for tests, the debug endpoint and the metrics.
 */
import type { CommandCounts } from '../../../protocols/command/api.ts'
import type { BreakerCounts } from '../../../protocols/delivery/recovery/peer-breakers.ts'
import type { EventTraffic } from '../../../protocols/events/event-traffic.ts'
import type { QuotaFigures } from '../../../protocols/limits/quota.ts'
import type { LateReply } from '../../../protocols/wire/caller/caller.ts'
import type { LinkCounts } from '../../../protocols/wire/link/link-limits.ts'
import type { PeerUsage } from '../../../protocols/wire/responder/peer-slots.ts'
import type { RelayFacts } from '../../network/nat/relay-facts.ts'
import type { PeerSkew } from '../../trust/clock-skew.ts'
import { followMessages } from './message-metrics.ts'
import type { NodeMetrics } from './metrics.ts'

export interface UnadmittedFigures {
  /** Connections whose peer is not admitted, half-open ones too. */
  connections: number
  /** What they sent. */
  bytes: number
  /** Connections that were refused or ended, by reason. */
  refused: Record<string, number>
}

export interface GossipFigures {
  cutOff: number
  rejected: number
  failedPublishes: number
  /** `refused`: messages that were not taken, by reason; `paused`: neighbours that were not read for a while. */
  intake: { refused: Readonly<Record<string, number>>; paused: number; cut: number; putOff: number }
}

export interface MeshFigures {
  links: LinkCounts & { open: number }
  /** What went by gossip, by type of message. */
  traffic: EventTraffic
  /** Answers that came after their call was given up; the last of each open link. */
  late: LateReply[]
  retries: number
  failovers: number
  /** Of peers that failed lately; `open`: those that are left alone now. */
  breakers: BreakerCounts & { open: number }
  commands: CommandCounts
  /** Requests in work, and requests that wait for a handler. */
  active: number
  queued: number
  /** Streams that wait for their reader, without a handler of maxActive. */
  parked: number
  /** Requests and streams refused for load, by what there was too much of. */
  refused: Record<string, number>
  /** Who has the most in work and in line here. */
  topPeers: PeerUsage[]
  /** How admissions ended, by reason. */
  admissions: Record<string, number>
  /** Requests that were denied before their handler, by code. */
  denied: Record<string, number>
  heldStreams: number
  refusedStreams: number
  /** Connections whose peer is not admitted. */
  unadmitted: UnadmittedFigures
  /** Dials that were not made, by reason. */
  dialsRefused: Record<string, number>
  duplicateConnections: number
  gossip: GossipFigures
  replies: { delivered: number; unheard: number; lost: number }
  connections: number
  /** How far the clocks of connected peers are from this one. */
  clocks: PeerSkew[]
  /** What is kept on disk, by part, and how much may be. */
  disk: QuotaFigures & { historyUnkept: number }
  /** Undefined where this node neither uses relays nor is one. */
  relay: RelayFacts | undefined
}

/** Counters that others keep, read when the metrics are scraped. */
export const exposeMeshFigures = (metrics: NodeMetrics, read: () => MeshFigures): void => {
  const { total, gauge, gauges } = metrics
  followMessages(metrics.asNamed, read)
  total('link_frames_received_total', 'Frames that links read', () => read().links.framesIn)
  total('link_frames_sent_total', 'Frames that links wrote', () => read().links.framesOut)
  total('link_received_bytes_total', 'Bytes that links read', () => read().links.bytesIn)
  total('link_sent_bytes_total', 'Bytes that links wrote', () => read().links.bytesOut)
  total('late_replies_total', 'Answers that came after their call was given up', () => read().links.lateReplies)
  total('messages_expired_total', 'Requests dropped because their ttl had passed', () => read().links.expired)
  total('links_refused_total', 'Links broken off for malformed or oversize frames', () => read().links.refusedFrames)
  total('frames_unknown_total', 'Frames of a kind or exchange that is not known', () => read().links.unknownFrames)
  total('requests_overloaded_total', 'Requests refused for load', () => read().links.overloaded)
  total('call_retries_total', 'Calls that were tried again at the same peer', () => read().retries)
  total('call_failovers_total', 'Calls that went on to another peer', () => read().failovers)
  total('breakers_opened_total', 'Peers left alone because they failed too often', () => read().breakers.opened)
  total('breakers_closed_total', 'Peers that answered again after they were left alone', () => read().breakers.closed)
  total('breakers_refused_total', 'Calls not made to a peer that is left alone', () => read().breakers.refused)
  total('breakers_probes_total', 'Calls let through to see whether a peer is back', () => read().breakers.probes)
  total('breakers_forgotten_total', 'Peers that failed and were forgotten', () => read().breakers.forgotten)
  gauge('breakers_open', 'Peers that are left alone now', () => read().breakers.open)
  total('commands_sent_total', 'Commands that this node sent', () => read().commands.sent)
  total('command_retries_total', 'Commands that were sent again', () => read().commands.retries)
  total('commands_executed_total', 'Commands that were run here', () => read().commands.executed)
  total('commands_repeated_total', 'Commands that came again and were not run again', () => read().commands.repeated)
  total('command_nacks_total', 'Commands that were run here and refused', () => read().commands.nacks)
  total('commands_forgotten_total', 'Outcomes of commands that were forgotten', () => read().commands.forgotten)
  total('streams_refused_total', 'Streams of peers that were not admitted', () => read().refusedStreams)
  total(
    'connections_duplicate_total',
    'Second connections to a peer that was connected',
    () => read().duplicateConnections,
  )
  total('gossip_rejected_total', 'Gossip messages that were not accepted', () => read().gossip.rejected)
  total('gossip_cut_off_total', 'Peers cut off because they took gossip too slowly', () => read().gossip.cutOff)
  gauges('gossip_refused', 'What of gossip was not taken, by reason', 'reason', () =>
    Object.entries(read().gossip.intake.refused),
  )
  total('gossip_paused_total', 'Pauses of neighbours for refused gossip', () => read().gossip.intake.paused)
  total('gossip_put_off_total', 'Waits of neighbours for their share of reading', () => read().gossip.intake.putOff)
  total('gossip_barred_total', 'Peers cut off for refused gossip', () => read().gossip.intake.cut)
  total('replies_lost_total', 'Answers to third parties that did not arrive', () => read().replies.lost)
  gauges('disk_bytes', 'Bytes that are kept on disk, by part', 'part', () => Object.entries(read().disk.parts))
  gauge('disk_max_bytes', 'Bytes that may be kept on disk', () => read().disk.maxBytes)
  total('disk_history_unkept_total', 'Batches of events for which there was no room', () => read().disk.historyUnkept)
  total('disk_given_up_bytes_total', 'Bytes of history given up for want of room', () => read().disk.givenUpBytes)
  const serving = () => read().relay?.serving
  gauge('relay_places', 'Places that this node has at relays', () => read().relay?.places.length ?? 0)
  gauge('relay_guests', 'Members that have a place at this relay', () => serving()?.places ?? 0)
  gauge('relay_connections', 'Connections that this relay carries', () => serving()?.connections ?? 0)
  total('relay_carried_total', 'Connections that this relay carried', () => serving()?.carried ?? 0)
  total('relay_bytes_total', 'Bytes that this relay carried', () => serving()?.bytes ?? 0)
  total('relay_slowed_total', 'Times that a connection waited for the pace of this relay', () => serving()?.slowed ?? 0)
  gauges('relay_refused', 'Requests that this relay refused, by reason', 'reason', () =>
    Object.entries(serving()?.refused ?? {}),
  )
  gauge('links_open', 'Outgoing links', () => read().links.open)
  gauge('requests_active', 'Handlers in work', () => read().active)
  gauge('requests_queued', 'Requests that wait for a handler', () => read().queued)
  gauge('streams_parked', 'Streams that wait for their reader', () => read().parked)
  gauges('requests_refused', 'Requests and streams refused for load, by what there was too much of', 'reason', () =>
    Object.entries(read().refused),
  )
  gauges('peer_requests', 'Requests in work and in line, of the peers with the most', 'peer', () =>
    read().topPeers.map(({ peer, active, queued, parked }): [string, number] => [peer, active + queued + parked]),
  )
  gauge('streams_held', 'Streams that wait for admission', () => read().heldStreams)
  gauge('connections_unadmitted', 'Connections whose peer is not admitted', () => read().unadmitted.connections)
  gauge('connections_unadmitted_bytes', 'Bytes that they sent', () => read().unadmitted.bytes)
  gauges('connections_refused', 'Connections that were refused or ended unadmitted, by reason', 'reason', () =>
    Object.entries(read().unadmitted.refused),
  )
  gauges('admissions', 'Admissions by how they ended', 'result', () => Object.entries(read().admissions))
  gauges('requests_denied', 'Requests denied before their handler, by code', 'code', () =>
    Object.entries(read().denied),
  )
}

/**
 * What the directory counts, once for `stats()` and once for the metrics. Label values are closed lists.
 */
import type { Metrics } from '../../protocols/port.ts'
import type { RecordFault } from './record/agent-record.ts'
import type { DirectoryState } from './tables/directory-state.ts'

/** `own`: a record of this identity that this life did not write. `full`: no room for another agent. */
export type RecordRefusal = RecordFault | 'bad_signature' | 'own' | 'full' | 'too_many'

export interface DirectoryStats {
  /** Other agents in the view, and how many of them are suspect, and stuck. */
  agents: number
  suspect: number
  stuck: number
  /** Agents that ended lately and are remembered, and how many were forgotten early for want of room. */
  ended: number
  endedEvicted: number
  /** Peers that wait to be compared with, and that are under way. */
  waiting: number
  running: number
  refused: Record<string, number>
  accepted: Record<string, number>
  sent: Record<string, number>
  events: Record<string, number>
}

const createTally = <K extends string>(keys: readonly K[], report: (key: K, by: number) => void) => {
  const counts = new Map<K, number>(keys.map((key) => [key, 0]))
  return {
    add: (key: K, by = 1): void => {
      counts.set(key, (counts.get(key) ?? 0) + by)
      report(key, by)
    },
    read: (): Record<string, number> => Object.fromEntries(counts),
  }
}

export type DirectoryCounts = ReturnType<typeof createDirectoryCounts>

export const createDirectoryCounts = (metrics: Metrics, sizes: DirectoryState['sizes']) => {
  const refused = metrics.counter('directory_refused_total', 'Agent records refused', ['reason'])
  const accepted = metrics.counter('directory_accepted_total', 'Agent records accepted', ['via'])
  const sent = metrics.counter('directory_sent_total', 'Messages of the directory, by how it went', ['kind', 'status'])
  const events = metrics.counter('directory_events_total', 'Other things worth knowing', ['event'])
  metrics.gauge('directory_agents', 'Other agents in the view', () => sizes().agents)
  metrics.gauge('directory_suspects', 'Other agents in the view that are suspect', () => sizes().suspect)
  metrics.gauge('directory_stuck', 'Other agents in the view that are stuck', () => sizes().stuck)
  metrics.gauge('directory_displaced', 'Agents that made room for others since the start', () => sizes().displaced)
  metrics.gauge('directory_ended', 'Agents that ended lately and are remembered', () => sizes().ended)

  const tallies = {
    refused: createTally<RecordRefusal>(
      ['too_big', 'malformed', 'other_mesh', 'bad_signature', 'own', 'full', 'too_many'],
      (reason, by) => refused({ reason }, by),
    ),
    accepted: createTally(['sync', 'push', 'gossip'] as const, (via, by) => accepted({ via }, by)),
    sent: createTally(
      ['sync ok', 'sync failed', 'push ok', 'push failed', 'gossip ok', 'gossip failed'] as const,
      (key, by) => {
        const [kind = '', status = ''] = key.split(' ')
        sent({ kind, status }, by)
      },
    ),
    events: createTally(['schema_dropped', 'listener_failed', 'sign_failed'] as const, (event, by) =>
      events({ event }, by),
    ),
  }

  return {
    ...tallies,
    read: () => ({
      refused: tallies.refused.read(),
      accepted: tallies.accepted.read(),
      sent: tallies.sent.read(),
      events: tallies.events.read(),
    }),
  }
}

/**
 * What the page knows, as signals: the last answers of the node, and what the reader chose. Everything is bounded, nothing of
 * it is kept beyond the page (what is, is in stored-choice.ts); the key of the node is in memory only.
 */
import { computed, signal } from '@preact/signals'
import type { CoordinatorView, Overview } from '../../../debug/debug-schemas.ts'
import { NO_CALLS } from '../data/call-rows.ts'
import type { ShownEvent } from '../data/event-text.ts'
import { type MeshNode, nodesOf } from '../data/mesh-nodes.ts'
import type { MetricPoint } from '../data/metric-points.ts'

export const MAX_EVENTS = 500
export const MAX_RTTS = 60

/** `lost`: the endpoint does not answer; what is shown is old. */
export type EndpointState = 'connecting' | 'live' | 'lost'

export interface EventRow {
  readonly number: number
  readonly event: ShownEvent
}

/** Whose events are shown: all, those of programs, or those of the mesh itself. */
export const EVENT_OWNERS = ['all', 'programs', 'mesh'] as const
export type EventOwner = (typeof EVENT_OWNERS)[number]

export const TABS = [
  { id: 'agents', title: 'Agents' },
  { id: 'peers', title: 'Peers' },
  { id: 'topics', title: 'Topics' },
  { id: 'calls', title: 'Calls' },
  { id: 'conversations', title: 'Conversations' },
  { id: 'messages', title: 'Messages' },
  { id: 'tasks', title: 'Tasks' },
  { id: 'coordinator', title: 'Coordinator' },
  { id: 'events', title: 'Events' },
  { id: 'metrics', title: 'Metrics' },
  { id: 'parts', title: 'Parts' },
] as const
export type TabId = (typeof TABS)[number]['id']

export const overview = signal<Overview | undefined>(undefined)
export const coordinator = signal<CoordinatorView | undefined>(undefined)
export const endpointState = signal<EndpointState>('connecting')
/** Milliseconds since 1970, this browser's clock. */
export const answeredAt = signal(0)
export const nowMs = signal(Date.now())
/** Of the node less that of this browser. */
export const skewMs = signal(0)

export const calls = signal(NO_CALLS)
export const points = signal<readonly MetricPoint[]>([])
/** The last round trips of each peer that is connected. */
export const rtts = signal<ReadonlyMap<string, readonly number[]>>(new Map())
export const events = signal<readonly EventRow[]>([])
export const paused = signal(false)
/** Events that came while paused. */
export const unseen = signal(0)
export const filter = signal('')
export const eventOwner = signal<EventOwner>('all')

export const tab = signal<TabId>('agents')
export const selected = signal<string | undefined>(undefined)
export const helpOpen = signal(false)
export const key = signal('')
/** Said to screen readers. */
export const announcement = signal('')

export const nodes = computed<MeshNode[]>(() =>
  overview.value === undefined ? [] : nodesOf(overview.value, coordinator.value),
)
export const selectedNode = computed(() => nodes.value.find(({ id }) => id === selected.value))
/** The clock of the node, as far as it is known. */
export const nodeNow = computed(() => nowMs.value + skewMs.value)

export const nameOf = (id: string): string => nodes.value.find((node) => node.id === id)?.name ?? ''

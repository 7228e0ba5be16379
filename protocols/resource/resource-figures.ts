/** What a node counts of resources. */
import type { BatcherCounts } from '../journal/client/change-batcher.ts'
import type { FigureSpec } from '../part.ts'
import type { ResourcesCounts } from './api.ts'
import type { PlannerCounts } from './planner/resource-planner.ts'

export const RESOURCE_FIGURES = {
  nodes: { kind: 'gauge', help: 'Nodes that keep their lease, where this node coordinates' },
  waiting: { kind: 'gauge', help: 'Allocations that wait, where this node coordinates' },
  allocated: { kind: 'gauge', help: 'Allocations that are granted, where this node coordinates' },
  held: { kind: 'gauge', help: 'Allocations that this node has' },
  given: { kind: 'gauge', help: 'Allocations that others have of this node' },
  feeds: { kind: 'gauge', help: 'Nodes that follow their allocations here' },
  granted_total: { kind: 'counter', help: 'Allocations that this node granted since it coordinates' },
  refused_total: { kind: 'counter', help: 'Allocations that this node denied since it coordinates' },
  asked_total: { kind: 'counter', help: 'Allocations that this node asked for' },
  denied_total: { kind: 'counter', help: 'Allocations that this node was denied' },
  lost_total: { kind: 'counter', help: 'Allocations of this node that ended before it released them' },
  changes_total: { kind: 'counter', help: 'Changes of resources that were decided for this node' },
  changes_refused_total: { kind: 'counter', help: 'Changes of resources that were refused to this node' },
  planned_refused_total: {
    kind: 'counter',
    help: 'Changes that this node planned since it coordinates, refused as resources had changed',
  },
  untold_total: {
    kind: 'counter',
    help: 'Changes of resources that were not told by events, where this node coordinates',
  },
  decisions_total: { kind: 'counter', help: 'Decisions of the journal that these took' },
} as const satisfies Readonly<Record<string, FigureSpec>>
export type ResourceFigures = { readonly [K in keyof typeof RESOURCE_FIGURES]: number }

export interface CountedResources {
  /** Undefined: this node does not coordinate. */
  readonly planner: PlannerCounts | undefined
  readonly feeds: number
  /** Changes that were not told by events. */
  readonly untold: number
  readonly decided: Pick<BatcherCounts, 'changes' | 'decisions' | 'refused'>
  readonly own: ResourcesCounts
}

export const resourceFigures = ({ planner, feeds, untold, decided, own }: CountedResources): ResourceFigures => ({
  ...{ nodes: planner?.nodes ?? 0, waiting: planner?.waiting ?? 0, allocated: planner?.allocated ?? 0 },
  ...{ held: own.held, given: own.given, feeds, granted_total: planner?.granted ?? 0 },
  ...{ refused_total: planner?.denied ?? 0, asked_total: own.asked, denied_total: own.denied, lost_total: own.lost },
  ...{
    changes_total: decided.changes,
    changes_refused_total: decided.refused,
    planned_refused_total: planner?.refused ?? 0,
    decisions_total: decided.decisions,
    untold_total: untold,
  },
})

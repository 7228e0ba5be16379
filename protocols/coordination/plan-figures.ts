/** What a node counts of plans. */
import type { FigureSpec } from '../part.ts'
import type { PlansCounts } from './api.ts'
import type { DirectiveCounts } from './runner/directive-sender.ts'

export const PLAN_FIGURES = {
  open: { kind: 'gauge', help: 'Plans that are not over, where this node coordinates' },
  over: { kind: 'gauge', help: 'Plans that are over and kept to be read, where this node coordinates' },
  made_total: { kind: 'counter', help: 'Plans that this node made' },
  budgets_written_off_total: {
    kind: 'counter',
    help: 'Parts of budgets that count as spent, since nothing is heard of their plans',
  },
  directives_sent_total: { kind: 'counter', help: 'Directives that this node sent as the coordinator' },
  directives_accepted_total: { kind: 'counter', help: 'Directives of this node that were acknowledged' },
  directives_refused_total: {
    kind: 'counter',
    help: 'Directives of this node that were refused, or that nobody answered',
  },
  directives_retried_total: { kind: 'counter', help: 'Attempts at directives after the first one' },
  directed_total: { kind: 'counter', help: 'Directives that this node was given' },
  refused_total: { kind: 'counter', help: 'Directives that this node refused' },
  repeated_total: { kind: 'counter', help: 'Directives that this node was given again' },
  events_dropped_total: { kind: 'counter', help: 'Directives that were told by no event, as too many waited' },
  resources_disputed_total: {
    kind: 'counter',
    help: 'Answers of the resource manager that were not what the journal says, and were not believed',
  },
  changes_total: { kind: 'counter', help: 'Changes of plans that were decided for this node' },
  changes_refused_total: { kind: 'counter', help: 'Changes of plans that were refused to this node' },
} as const satisfies Readonly<Record<string, FigureSpec>>
export type PlanFigures = { readonly [K in keyof typeof PLAN_FIGURES]: number }

export interface CountedPlans {
  readonly plans: { readonly open: number; readonly over: number }
  readonly own: PlansCounts
  readonly sent: DirectiveCounts
  readonly untold: number
  readonly disputed: number
  readonly decided: { readonly changes: number; readonly refused: number }
}

export const planFigures = ({ plans, own, sent, decided, untold, disputed }: CountedPlans): PlanFigures => ({
  ...{ open: plans.open, over: plans.over, made_total: own.made },
  budgets_written_off_total: own.writtenOff,
  ...{ directives_sent_total: sent.sent, directives_accepted_total: sent.accepted },
  ...{ directives_refused_total: sent.refused, directives_retried_total: sent.retries },
  ...{ directed_total: own.directed, refused_total: own.refused, repeated_total: own.repeated },
  ...{ events_dropped_total: untold, resources_disputed_total: disputed },
  ...{ changes_total: decided.changes, changes_refused_total: decided.refused },
})

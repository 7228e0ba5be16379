/** What a node counts of coalitions. */
import type { FigureSpec } from '../../part.ts'
import type { CoalitionsCounts } from './coalition-api.ts'
import type { CoalitionBoardCounts } from './coalition-board.ts'

export const COALITION_FIGURES = {
  forming: { kind: 'gauge', help: 'Coalitions that are being formed, where this node coordinates' },
  active: { kind: 'gauge', help: 'Coalitions that are formed and not dissolved, where this node coordinates' },
  dissolved: { kind: 'gauge', help: 'Coalitions that are dissolved and kept to be read, where this node coordinates' },
  directing: { kind: 'gauge', help: 'Directives to members that are on their way, where this node coordinates' },
  member_of: { kind: 'gauge', help: 'Coalitions that this node is in' },
  formed_total: { kind: 'counter', help: 'Coalitions that this node proposed and saw formed' },
  accepted_total: { kind: 'counter', help: 'Directives about coalitions that this node took' },
  refused_total: { kind: 'counter', help: 'Directives about coalitions that this node refused' },
  changes_total: { kind: 'counter', help: 'Changes of coalitions that were decided for this node' },
  changes_refused_total: { kind: 'counter', help: 'Changes of coalitions that were refused to this node' },
} as const satisfies Readonly<Record<string, FigureSpec>>
export type CoalitionFigures = { readonly [K in keyof typeof COALITION_FIGURES]: number }

export interface CountedCoalitions {
  /** Undefined: this node does not coordinate. */
  readonly board: CoalitionBoardCounts | undefined
  readonly own: CoalitionsCounts
  readonly decided: { readonly changes: number; readonly refused: number }
}

export const coalitionFigures = ({ board, own, decided }: CountedCoalitions): CoalitionFigures => ({
  ...{ forming: board?.forming ?? 0, active: board?.active ?? 0, dissolved: board?.dissolved ?? 0 },
  ...{ directing: board?.sending ?? 0, member_of: own.memberOf, formed_total: own.formed },
  ...{ accepted_total: own.accepted, refused_total: own.refused },
  ...{ changes_total: decided.changes, changes_refused_total: decided.refused },
})

/** The part by which a mesh agrees: founding, seat, journal, coordinator and fences (coordination/coordination.ts). */
import { definePart, type Loading } from '../../protocols/part.ts'
import { tokens } from '../../protocols/tokens.ts'
import type { Coordination } from '../coordination/coordination.ts'
import { nodeTokens } from './node-tokens.ts'

const { ground, network, directory, decisions } = nodeTokens

export const coordination = definePart({
  name: 'coordination',
  description: 'Who coordinates, and what the mesh has agreed on.',
  needs: { ground, network, directory, decisions, events: tokens.events },
  provides: { journal: tokens.journal, coordinator: tokens.coordinator, fences: tokens.fences },
  activate: 'start',
  load: (): Loading<Coordination> => import('../coordination/coordination.ts'),
})

/** How those who may found a mesh talk. Wire id `/parley/founding/1`. */
import * as z from 'zod'
import { defineProtocol } from '../../define.ts'
import { MemberIdSchema } from '../member-id.ts'
import { MAX_FOUNDERS, MeshIdSchema, ProposalSchema } from './founding-record.ts'

/**
 * How far a node is. `candidate`: free to promise. `promised`: bound until its promise is decided. `founded`: it belongs
 * to a founded mesh, as founder or not. `joiner`: it waits for a mesh and never founds one.
 */
export const FoundingAnnouncementSchema = z
  .object({
    state: z.enum(['candidate', 'promised', 'founded', 'joiner']),
    member: MemberIdSchema,
    /** How many should found the mesh together, as this one was told. */
    expect: z.int().min(1).max(MAX_FOUNDERS).optional(),
    meshId: MeshIdSchema.optional(),
    /** Of the highest round that it has seen: a proposal in a lower one is refused. */
    counter: z.int().nonnegative(),
  })
  .refine(({ state, meshId }) => (state === 'founded') === (meshId !== undefined), 'a mesh id goes with `founded`')
export type FoundingAnnouncement = Readonly<z.output<typeof FoundingAnnouncementSchema>>

/**
 * `promised`: it holds this promise. `refused`: this proposal will never be complete. `founded`: it is complete.
 * Each of them is durable before it is said.
 */
export const ProposalAnswerSchema = z
  .object({
    verdict: z.enum(['promised', 'refused', 'founded']),
    /** Who says so; a peer that lost its disk does not speak for the member that it was. */
    member: MemberIdSchema,
    /** The founded mesh that it belongs to. */
    meshId: MeshIdSchema.optional(),
  })
  .refine(({ verdict, meshId }) => verdict !== 'founded' || meshId !== undefined, 'a mesh id goes with `founded`')
export type ProposalAnswer = Readonly<z.output<typeof ProposalAnswerSchema>>

export const foundingProtocol = defineProtocol({
  name: 'founding',
  version: '1.0.0',
  methods: {
    ask: {
      description: 'Both sides tell how far they are',
      request: z.object({ standing: FoundingAnnouncementSchema }),
      response: FoundingAnnouncementSchema,
      timeoutMs: 2_000,
      priority: 'high',
      idempotent: true,
    },
    propose: {
      description: 'Do you promise to found a mesh with exactly these? Asked again by any of them until it is decided',
      request: ProposalSchema,
      response: ProposalAnswerSchema,
      timeoutMs: 5_000,
      priority: 'high',
      idempotent: true,
    },
  },
})

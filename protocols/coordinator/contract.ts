/** Who coordinates, who would like to vote, and handing over. Wire id `/parley/coordinator/1`. */
import * as z from 'zod'
import { ProofSchema } from '../consensus/proof/statement.ts'
import { defineProtocol } from '../define.ts'
import { defineEvent } from '../events/define-event.ts'

const Count = z.int().nonnegative()
const Peer = z.string().min(1).max(128)
const MemberId = z.string().min(1).max(192)
const MeshId = z.string().min(1).max(64)

export const coordinatorProtocol = defineProtocol({
  name: 'coordinator',
  version: '1.2.0',
  methods: {
    where: {
      description: 'Who coordinates, as far as this node knows',
      request: z.object({}),
      response: z.object({
        meshId: MeshId.optional(),
        epoch: Count,
        /** Peer id; absent where nobody is known. */
        leader: Peer.optional(),
        version: Count,
        /** Peers of the voters and learners. */
        seats: z.array(Peer).max(64),
      }),
      idempotent: true,
      priority: 'critical',
      timeoutMs: 1_000,
    },
    volunteer: {
      description: 'Offers a seat; the coordinator decides who votes',
      request: z.object({
        meshId: MeshId,
        member: MemberId,
        /** The highest feature level that it knows. */
        level: z.int().positive(),
        /** It withdraws for good. */
        leaving: z.boolean().optional(),
        /** Its parts that decide something, as `acme/tally@2`; since 1.2. */
        parts: z.array(z.string().max(64)).max(64).optional(),
      }),
      /** `enough`: no voter is wanted for now, ask less often. */
      response: z.object({
        enough: z.boolean(),
        /** How many vote now; since 1.1. */
        voters: Count.optional(),
      }),
      idempotent: true,
      timeoutMs: 2_000,
    },
    transfer: {
      description: 'Hands the coordination over, to the peer that is named or to the most suitable',
      request: z.object({ meshId: MeshId, to: Peer.optional() }),
      response: z.object({ epoch: Count, leader: Peer }),
      capability: 'coordinate',
      priority: 'high',
      timeoutMs: 5_000,
    },
    giveUp: {
      description: 'This node gives its seat up for good, also after a restart; answers once it has none',
      request: z.object({}),
      /** How many vote without it, as far as it heard. */
      response: z.object({ voters: Count.optional() }),
      capability: 'coordinate',
      idempotent: true,
      priority: 'high',
      timeoutMs: 30_000,
    },
    takeSeat: {
      description: 'This node offers its seat again',
      request: z.object({}),
      response: z.object({}),
      capability: 'coordinate',
      idempotent: true,
      priority: 'high',
      timeoutMs: 5_000,
    },
  },
})

/** Told by the coordinator: leader-announcements.ts says when. */
export const epochEvent = defineEvent({
  topic: 'coordination.epoch',
  version: '1.1.0',
  schema: z.object({
    mesh_id: MeshId,
    epoch: Count,
    /** Peer id; the same as the event's source. */
    leader: Peer,
    version: Count,
    seats: z.array(Peer).max(64),
    timestamp: z.number(),
    /** It coordinates no more. */
    over: z.boolean().optional(),
    /** What proves it, since 1.1: told in full while it is new, and named after that. */
    proof: z
      .object({
        digest: z.string().regex(/^[0-9a-f]{64}$/),
        /** Index of the newest change of voters that is proven. */
        head: Count,
        proofs: z.array(ProofSchema).max(2).optional(),
      })
      .optional(),
  }),
})

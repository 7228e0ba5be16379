/** How the proof of coordination is signed and shown. Wire id `/parley/proof/1`. */
import * as z from 'zod'
import { defineProtocol } from '../../define.ts'
import { ChainBeginningSchema } from './chain-beginning.ts'
import { MAX_COUNT, ProofSchema, StatementSchema } from './statement.ts'

/** Links in one answer. */
export const PAGE_LINKS = 16

export const proofProtocol = defineProtocol({
  name: 'proof',
  version: '1.0.0',
  methods: {
    sign: {
      description: 'A voter signs what it applied itself',
      request: StatementSchema,
      response: z.object({ member: z.string().max(192), signature: z.string().max(128) }),
      idempotent: true,
      priority: 'high',
      timeoutMs: 1_000,
    },
    links: {
      description: 'What was proven of who coordinates: changes of voters after an index, and the newest epoch',
      request: z.object({ meshId: z.string().min(1).max(64), after: z.int().nonnegative().max(MAX_COUNT) }),
      response: z.object({
        beginning: ChainBeginningSchema.optional(),
        /** Where the chain begins, where that is not at the beginning. */
        pinned: ProofSchema.optional(),
        links: z.array(ProofSchema).max(PAGE_LINKS),
        /** There are further links. */
        more: z.boolean(),
        /** With the links that come after it, and with the last ones. */
        epoch: ProofSchema.optional(),
      }),
      idempotent: true,
      priority: 'high',
      timeoutMs: 2_000,
    },
  },
})

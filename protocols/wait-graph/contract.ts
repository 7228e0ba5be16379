/** What nodes ask each other about waits. Wire id: `/parley/waits/1`. Keeps no state. */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'
import { MAX_WAITS } from './wait-probes.ts'

/** Of requests in line and in work, and of slots. */
const Key = z.string().min(1).max(160)

const MAX_KEYS = 2_048
/** Milliseconds that a probe takes at most, at the node that begins it. */
export const ASK_MS = 1_500

const WaitShape = z.object({ id: Key, on: z.array(Key).min(1).max(MAX_KEYS), queued: z.boolean().optional() })

export const waitsProtocol = defineProtocol({
  name: 'waits',
  version: '1.0.0',
  methods: {
    probe: {
      request: z.object({
        /** 16 random bytes of who began it. */
        probe: z.string().regex(/^[0-9a-f]{32}$/),
        /** Calls that the asking node has made here: session of the link in hex, a dot, and the number of the exchange. */
        calls: z.array(Key).min(1).max(MAX_KEYS),
      }),
      response: z.object({
        /** All of them wait, unchanged, for what waits itself. */
        blocked: z.boolean(),
        /** What was seen by this question, where it is blocked; each goes on once any of `on` does. */
        waits: z.array(WaitShape).max(MAX_WAITS),
      }),
      content: 'cbor',
      timeoutMs: ASK_MS,
      description: 'Whether calls wait for each other.',
    },
  },
})

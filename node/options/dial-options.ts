/** The options that say what this node dials. Pure. */
import * as z from 'zod'
import { parseNetwork } from '../network/addresses/ip-networks.ts'

const MAX_NETWORKS = 256

const Networks = z
  .array(
    z.string().superRefine((text, context) => {
      if (parseNetwork(text) !== undefined) return
      const message = `${JSON.stringify(text)} is no network; write it as 10.0.0.0/8, fd00::/8 or 192.0.2.1`
      context.addIssue({ code: 'custom', message })
    }),
  )
  .max(MAX_NETWORKS)
  .default([])

export const DialOptions = z.strictObject({
  allow: Networks.describe(
    'Networks that are dialled although they are not by default: link-local ones, for one. Where a network of deny holds the address too, the smaller network decides.',
  ),
  deny: Networks.describe(
    'Networks that are never dialled, whoever names an address in them, join too. With 0.0.0.0/0 and ::/0 here only what allow has is dialled.',
  ),
  names: z
    .boolean()
    .default(false)
    .describe(
      'Dial names that peers announce, where all addresses that they stand for may be dialled. Members can then have this node ask for names of their choice. Names in join are dialled in any case.',
    ),
})
export type DialSettings = z.output<typeof DialOptions>

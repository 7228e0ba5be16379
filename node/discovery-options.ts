/** The options of createMesh that are about how peers find each other, beside `join`. Pure. */
import * as z from 'zod'

export const DiscoveryOptions = z.strictObject({
  mdns: z
    .boolean()
    .default(false)
    .describe(
      'Find members on the local network by multicast DNS, with nothing else configured. What others there can read is in SECURITY.md. Without a secret it stays on this machine.',
    ),
})
export type DiscoverySettings = z.output<typeof DiscoveryOptions>

/** True for a node that was told where to look for others: it joins their mesh and founds none by itself. */
export const looksForOthers = (options: { readonly join: readonly string[]; readonly discovery: DiscoverySettings }) =>
  options.join.length > 0 || options.discovery.mdns

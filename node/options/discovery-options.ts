/** The options of createMesh that are about how peers find each other, beside `join`. Pure. */
import * as z from 'zod'

const MIB = 1 << 20

/** An agent that others cannot dial is called by way of a member that can be reached by both. */
export const RelayOptions = z.strictObject({
  serve: z
    .boolean()
    .default(false)
    .describe(
      'Carry connections for members that cannot be dialled. For a node that all others can reach; it carries their bytes, which it cannot read.',
    ),
  use: z
    .enum(['auto', 'always', 'never'])
    .default('auto')
    .describe(
      'Whether this node is also reached through a relay: auto when a member tried to dial it and could not, always, or never. Calls through relays that others use are made in any case.',
    ),
  count: z
    .int()
    .min(1)
    .max(4)
    .default(2)
    .describe('Relays at which this node has a place at the same time. Two survive the loss of one without a gap.'),
  maxReservations: z
    .int()
    .min(1)
    .max(4096)
    .default(64)
    .describe('Members that a serving node keeps a place for; beyond it they are refused and take another relay.'),
  maxConnections: z
    .int()
    .min(1)
    .max(4096)
    .default(256)
    .describe('Connections that a serving node carries at the same time; beyond it new ones are refused.'),
  maxBytesPerSecond: z
    .int()
    .min(16 * 1024)
    .max(4096 * MIB)
    .default(64 * MIB)
    .describe(
      'Bytes a second that a serving node carries, all connections together; above it they are slowed down, none is broken off.',
    ),
})
export type RelaySettings = z.output<typeof RelayOptions>

export const DiscoveryOptions = z.strictObject({
  mdns: z
    .boolean()
    .default(false)
    .describe(
      'Find members on the local network by multicast DNS, with nothing else configured. What others there can read is in SECURITY.md. Without a secret it stays on this machine.',
    ),
  local: z
    .boolean()
    .default(false)
    .describe(
      'Find nodes of this machine and this user that have the same secret and mesh, by notes in a folder of this user alone. Without a secret it does nothing. `parley up` has it.',
    ),
  dht: z
    .enum(['off', 'client', 'server'])
    .default('off')
    .describe(
      'Kademlia, to find the addresses of members that neither this node nor its neighbours know: server answers others and is found, client only asks. For meshes of more members than one directory holds.',
    ),
  relay: RelayOptions.prefault({}).describe('Connections through another member, for nodes behind NAT.'),
})
export type DiscoverySettings = z.output<typeof DiscoveryOptions>

/** True for a node that was told where to look for others: it joins their mesh and founds none by itself. */
export const looksForOthers = (options: { readonly join: readonly string[]; readonly discovery: DiscoverySettings }) =>
  options.join.length > 0 || options.discovery.mdns

/** Which interfaces multicast DNS speaks on, and which addresses are of use to who hears it there. Pure. */
import type { NetworkInterfaceInfo } from 'node:os'
import { addressProblem, isLoopback } from '../addresses/multiaddresses.ts'

/** The system takes 20 groups on a socket. */
const MAX_PLACES = 16

export type IpVersion = 4 | 6

/** An interface as multicast knows it. */
export interface MdnsInterfaceAddress {
  /** Of one family: `eth0/4`. */
  readonly name: string
  readonly version: IpVersion
  /** What a socket binds to. */
  readonly address: string
  /** What multicast goes out by. */
  readonly by: string
  readonly isLoopback: boolean
}

/**
 * Interfaces to speak on, one for each family that it has.
 * @param beyond also those that lead away from this machine
 */
export const mdnsInterfaceAddresses = (
  all: NodeJS.Dict<NetworkInterfaceInfo[]>,
  beyond: boolean,
): MdnsInterfaceAddress[] => {
  const found: MdnsInterfaceAddress[] = []
  for (const [name, infos = []] of Object.entries(all)) {
    const isLocal = infos.some(({ internal }) => internal)
    // The host's end of a container's cable: its bridge has the address.
    if ((!isLocal && !beyond) || name.startsWith('veth')) continue
    const four = infos.find(({ family }) => family === 'IPv4')?.address
    // The loopback interface has no link-local address, and needs none: each system has 127.0.0.1.
    const six = infos.find(({ family, address }) => family === 'IPv6' && /^fe[89ab][0-9a-f]:/i.test(address))?.address
    if (four !== undefined) found.push({ name: `${name}/4`, version: 4, address: four, by: four, isLoopback: isLocal })
    if (six !== undefined)
      found.push({ name: `${name}/6`, version: 6, address: `${six}%${name}`, by: `::%${name}`, isLoopback: isLocal })
  }
  return found.slice(0, MAX_PLACES)
}

/** Where somebody who hears this node there can dial it. */
export const dialableFrom = (
  place: Pick<MdnsInterfaceAddress, 'isLoopback'>,
  addresses: readonly string[],
): string[] => {
  const own = addresses.filter(isLoopback)
  return place.isLoopback && own.length > 0 ? own : addresses.filter((address) => !isLoopback(address))
}

/**
 * What a member told, as far as this node may dial it.
 * @param beyond also what leads away from this machine
 */
export const usableAddresses = (told: readonly string[], beyond: boolean): string[] =>
  told.filter((address) => addressProblem(address, 'join') === undefined && (beyond || isLoopback(address)))

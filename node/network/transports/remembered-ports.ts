/**
 * A node keeps its ports: where it may take any free one, it takes those of its last start, so that addresses that others
 * know, and bookmarks, go on leading to it. A port that was given is taken as it is given, and is not kept.
 *
 * State: `ports.json` in the data directory, written when the ports are others than before. A port that somebody else has by
 * now is told in one line, and another one is taken. Between the look and the listening somebody may take it still: then the
 * node does not start, as with any port that is taken.
 */
import { join } from 'node:path'
import * as z from 'zod'
import type { Log } from '../../../protocols/port.ts'
import { readSmallFile, writePrivateFile } from '../../platform/private-file.ts'
import { type ListenAddress, listenAddressOf } from '../addresses/listen-address.ts'
import { checkPort } from './port-check.ts'

const FILE = 'ports.json'
const MAX_BYTES = 16_384

const PortSchema = z.int().min(1).max(65_535)
const KeptSchema = z.object({
  /** By the address as it was given, as often as it was given. */
  listen: z.record(z.string().max(512), z.array(PortSchema).max(64)),
  debug: PortSchema.optional(),
})
export type SavedPorts = z.output<typeof KeptSchema>

export interface RememberedPorts {
  /** What to listen on. */
  readonly listen: string[]
  /** Of the debug endpoint, where it may take any. */
  readonly debug: number | undefined
  /**
   * Remembers what the node listens on.
   * @param addresses its own, with or without its peer id @param debugUrl of the debug endpoint
   */
  save(addresses: readonly string[], debugUrl: string | undefined): Promise<void>
}

/** Any port will do. */
const isAny = (address: string): boolean => listenAddressOf(address)?.port === 0

const withPort = (address: string, transport: ListenAddress['transport'], port: number): string =>
  address.replace(new RegExp(`/${transport}/\\d+`), `/${transport}/${port}`)

/** The address without its peer id, host and port: what goes over which transport. */
const shapeOf = (address: string): string =>
  address.replace(/\/p2p\/[^/]+$/, '').replace(/^(\/ip6zone\/[^/]+)?\/(ip[46])\/[^/]+\/(tcp|udp)\/\d+/, '/$2/$3')

const isSameHost = (given: ListenAddress, actual: ListenAddress): boolean =>
  given.host === actual.host || given.host === '0.0.0.0' || given.host === '::'

/** Which port each given address got that may take any. Pure. */
export const savedPortsOf = (given: readonly string[], addresses: readonly string[]): SavedPorts['listen'] => {
  const kept: Record<string, number[]> = {}
  // What was given with its port is no answer to what was given without.
  const used = new Set(given.flatMap((address) => listenAddressOf(address)?.port ?? []))
  for (const address of given.filter(isAny)) {
    const site = listenAddressOf(address)
    const found = addresses.find((actual) => {
      const other = listenAddressOf(actual)
      if (site === undefined || other === undefined || used.has(other.port)) return false
      return shapeOf(actual) === shapeOf(address) && isSameHost(site, other)
    })
    const port = found === undefined ? undefined : listenAddressOf(found)?.port
    if (port === undefined || port === 0) continue
    used.add(port)
    kept[address] = [...(kept[address] ?? []), port]
  }
  return kept
}

const read = async (dataDir: string, log: Log): Promise<SavedPorts> => {
  const none: SavedPorts = { listen: {} }
  try {
    const bytes = await readSmallFile(join(dataDir, FILE), MAX_BYTES)
    if (bytes === undefined) return none
    return KeptSchema.parse(JSON.parse(new TextDecoder().decode(bytes)))
  } catch (error) {
    log.info(`${FILE} cannot be used: this node takes any free ports`, { error })
    return none
  }
}

const isFree = async (site: ListenAddress): Promise<boolean> => {
  try {
    await checkPort(site)
    return true
  } catch {
    return false
  }
}

/** @param dataDir none: nothing is kept */
export const openRememberedPorts = async (
  dataDir: string | undefined,
  { listen, debug }: { readonly listen: readonly string[]; readonly debug: false | { readonly port: number } },
  log: Log,
): Promise<RememberedPorts> => {
  if (dataDir === undefined) return { listen: [...listen], debug: undefined, save: async () => {} }
  const before = await read(dataDir, log)
  const left = new Map(Object.entries(before.listen).map(([address, ports]) => [address, [...ports]]))
  const takesAnyDebug = debug !== false && debug.port === 0

  const recalled = async (address: string): Promise<string> => {
    const site = listenAddressOf(address)
    const port = site?.port === 0 ? left.get(address)?.shift() : undefined
    if (site === undefined || port === undefined) return address
    if (await isFree({ ...site, port })) return withPort(address, site.transport, port)
    log.warn(`the port ${port} of the last start is taken by another program; ${address} gets a free one`)
    return address
  }
  const chosen: string[] = []
  for (const address of listen) chosen.push(await recalled(address))

  return {
    listen: chosen,
    debug: takesAnyDebug ? before.debug : undefined,
    async save(addresses, debugUrl) {
      const port = takesAnyDebug && debugUrl !== undefined ? Number(new URL(debugUrl).port) : 0
      const now: SavedPorts = { listen: savedPortsOf(listen, addresses), ...(port > 0 && { debug: port }) }
      if (JSON.stringify(now) === JSON.stringify(before)) return
      try {
        await writePrivateFile(join(dataDir, FILE), `${JSON.stringify(now)}\n`)
      } catch (error) {
        log.warn(`${FILE} could not be written: this node may have other ports after a restart`, { error })
      }
    },
  }
}

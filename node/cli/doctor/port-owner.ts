/**
 * Which process listens on a port, as far as the system lets this user see it: the socket's inode from /proc/net, then the
 * process that has it open (proc(5)). Keeps no state.
 */
import { readdir, readFile, readlink } from 'node:fs/promises'

export interface PortOwner {
  readonly pid: number
  /** The beginning of its command line. */
  readonly command: string
}

const LISTEN = '0A'
const MAX_COMMAND_CHARS = 80

/** Of `sl local_address rem_address st … inode`: address and port are hexadecimal. */
const inodesIn = (table: string, port: number, transport: 'tcp' | 'udp'): string[] =>
  table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/)
      const [, local = '', , state] = fields
      const isPort = Number.parseInt(local.split(':')[1] ?? '', 16) === port
      const inode = fields[9]
      return isPort && inode !== undefined && (transport === 'udp' || state === LISTEN) ? [inode] : []
    })

const holds = async (pid: string, sockets: ReadonlySet<string>): Promise<boolean> => {
  const folder = `/proc/${pid}/fd`
  for (const fd of await readdir(folder).catch(() => []))
    if (sockets.has(await readlink(`${folder}/${fd}`).catch(() => ''))) return true
  return false
}

/** @returns undefined where nobody listens, or the process is hidden from this user */
export const ownerOf = async (port: number, transport: 'tcp' | 'udp'): Promise<PortOwner | undefined> => {
  const tables = await Promise.all(
    [transport, `${transport}6`].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  )
  const sockets = new Set(
    tables.flatMap((table) => inodesIn(table, port, transport)).map((inode) => `socket:[${inode}]`),
  )
  if (sockets.size === 0) return undefined
  for (const pid of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(pid) || !(await holds(pid, sockets))) continue
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    return { pid: Number(pid), command: line.replaceAll('\0', ' ').trim().slice(0, MAX_COMMAND_CHARS) }
  }
  return undefined
}

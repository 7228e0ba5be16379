/**
 * Who may see what messages say, and change anything, by the debug endpoint: who shows the key in `node.json`, which lies in
 * the data directory and is this user's alone; so whoever could read and change the files of the node anyway. Where a node
 * has no data directory nobody may.
 *
 * A web page is kept out twice: it does not know the key, and a request of another origin is refused by what browsers say
 * of it (Fetch standard, section 3.2, `Origin`; Fetch Metadata, `Sec-Fetch-Site`). Keeps no state.
 */
import { timingSafeEqual } from 'node:crypto'

const encoder = new TextEncoder()

/** @param authorization the header of the request */
export const hasDebugKey = (authorization: string | undefined, key: string | undefined): boolean => {
  const shown = /^Bearer ([\x21-\x7e]{1,256})$/i.exec(authorization ?? '')?.[1]
  if (shown === undefined || key === undefined) return false
  const [one, two] = [encoder.encode(shown), encoder.encode(key)]
  return one.length === two.length && timingSafeEqual(one, two)
}

/** @param host the Host header, which names this endpoint already */
export const isCrossOrigin = (header: (name: string) => string | undefined): boolean => {
  const origin = header('origin')
  const site = header('sec-fetch-site')
  if (origin !== undefined && origin.toLowerCase() !== `http://${header('host')?.toLowerCase()}`) return true
  return site !== undefined && site !== 'same-origin' && site !== 'none'
}

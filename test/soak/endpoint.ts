/** What the debug endpoint of a node tells about sizes: gauges of /metrics, and lengths of lists. */
import { get } from 'node:http'
import { PREFIX } from '../../node/observe/metrics/metrics.ts'
import type { Sample } from './sample.ts'

/** Gauges that say how much of something is held; everything else there is a counter or a time. */
const GAUGES = [
  'directory_ended',
  'directory_suspects',
  'events_queued_bytes',
  'requests_queued',
  'debug_event_streams',
]

/** A connection of its own that is closed afterwards, so that it is not counted among the node's. */
const read = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => {
        text += part
      })
      response.on('end', () => resolve(text))
      response.on('error', reject)
    }).on('error', reject)
  })

const STATUS = /,?status="([^"]*)"/

/**
 * The named gauges, how many series there are, and how many words for an end (`ok`, a code). Pure.
 *
 * A series counts once for all its ends: methods times codes are bounded, but rare ends come for the first time for
 * hours, which is no growth. What grows with peers, agents or methods is seen all the same, and so are new words.
 */
export const readMetrics = (text: string): Sample => {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const series = lines.map((line) => line.slice(0, line.lastIndexOf(' ')))
  const sample: Sample = {
    'metric series': new Set(series.map((one) => one.replace(STATUS, ''))).size,
    'metric statuses': new Set(series.flatMap((one) => STATUS.exec(one)?.[1] ?? [])).size,
  }
  for (const name of GAUGES) {
    const line = lines.find((one) => one.startsWith(`${PREFIX}${name} `))
    if (line !== undefined) sample[name] = Number(line.slice(line.indexOf(' ') + 1))
  }
  return sample
}

export const readEndpoint = async (url: string): Promise<Sample> => {
  const [metrics, peers, topics] = await Promise.all(
    ['/metrics', '/api/peers', '/api/topics'].map((path) => read(`${url}${path}`)),
  )
  const listed = JSON.parse(peers ?? '{}') as { peers: { streams: number; inFlight: number; bytesQueued: number }[] }
  const sum = (figure: (peer: (typeof listed.peers)[number]) => number): number =>
    listed.peers.reduce((total, peer) => total + figure(peer), 0)
  return {
    ...readMetrics(metrics ?? ''),
    'libp2p streams': sum(({ streams }) => streams),
    'calls waiting': sum(({ inFlight }) => inFlight),
    'bytes queued': sum(({ bytesQueued }) => bytesQueued),
    'topics listed': (JSON.parse(topics ?? '{}') as { topics: unknown[] }).topics.length,
  }
}

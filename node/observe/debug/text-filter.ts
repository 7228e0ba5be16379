/** A filter of words over a line of text, as the page and the endpoint know it. Pure. */

/** Every word must be somewhere in the line; `-word` must not. */
export const matchesFilter = (line: string, filter: string): boolean => {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '' && word !== '-')
  if (words.length === 0) return true
  const text = line.toLowerCase()
  return words.every((word) => (word.startsWith('-') ? !text.includes(word.slice(1)) : text.includes(word)))
}

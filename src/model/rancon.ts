type Labels = Readonly<Record<string, string>>

/** Predecessor 5's labels: `rancon`, `rancon.name`, `rancon.tag`, `rancon.X`. */
export const hasRanconLabel = (labels: Labels): boolean =>
  Object.keys(labels).some((label) => label === 'rancon' || label.startsWith('rancon.'))

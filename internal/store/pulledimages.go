package store

import "context"

const pulledColumns = `host_id, image_id, ref, there_before, pulled_at`

func scanPulled(r row) (p PulledImage, err error) {
	return p, r.Scan(&p.HostID, &p.ImageID, &p.Ref, truth{&p.Foreign}, at{&p.PulledAt})
}

// PutPulledImage remembers that an image was brought, or that it had been there before; the first word stays.
func (tx *Tx) PutPulledImage(ctx context.Context, p PulledImage) error {
	_, err := tx.exec(ctx, "remember who brought image "+p.ImageID,
		`INSERT INTO pulled_images (`+pulledColumns+`) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (host_id, image_id) DO NOTHING`,
		p.HostID, clean(p.ImageID), clean(p.Ref), bit(p.Foreign), orNow(p.PulledAt, now()))
	return err
}

// DeletePulledImage forgets who brought an image: it has left the engine, and may come back by another hand.
func (tx *Tx) DeletePulledImage(ctx context.Context, hostID, imageID string) error {
	return tx.execOne(ctx, "forget who brought image "+imageID, ErrNotFound,
		`DELETE FROM pulled_images WHERE host_id = $1 AND image_id = $2`, hostID, clean(imageID))
}

// PulledImages returns the images that deploys asked for on a host, by image id.
func (q queries) PulledImages(ctx context.Context, hostID string) (map[string]PulledImage, error) {
	images, err := list(ctx, q, "list the images that were brought", scanPulled,
		`SELECT `+pulledColumns+` FROM pulled_images WHERE host_id = $1`, hostID)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]PulledImage, len(images))
	for _, p := range images {
		byID[p.ImageID] = p
	}
	return byID, nil
}

// ImageIDsInUse returns the image ids of every instance of a host, and of every archive that still keeps its image (all
// but those that were restored), each with the ids of who uses it.
func (q queries) ImageIDsInUse(ctx context.Context, hostID string) (instances, archives map[string][]string, err error) {
	if instances, err = q.usersOfImages(ctx,
		`SELECT image_id, id FROM instances WHERE host_id = $1 AND image_id <> '' ORDER BY image_id, id`, hostID); err != nil {
		return nil, nil, err
	}
	archives, err = q.usersOfImages(ctx,
		`SELECT image_id, id FROM archives WHERE host_id = $1 AND state <> $2 AND image_id <> '' ORDER BY image_id, id`,
		hostID, string(ArchiveRestored))
	return instances, archives, err
}

func (q queries) usersOfImages(ctx context.Context, query string, args ...any) (map[string][]string, error) {
	type use struct{ image, by string }
	uses, err := list(ctx, q, "find out who uses images", func(r row) (u use, err error) { return u, r.Scan(&u.image, &u.by) }, query, args...)
	if err != nil {
		return nil, err
	}
	users := map[string][]string{}
	for _, u := range uses {
		users[u.image] = append(users[u.image], u.by)
	}
	return users, nil
}

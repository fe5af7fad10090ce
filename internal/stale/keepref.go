package stale

import "strings"

// This file holds the names that we give to images to keep them. Each follows from what the store knows of an
// archive, so that a crash leaves none behind that nobody knows of.

const (
	archiveRepo = "localhost/docker-watcher-archive:"
	layerSuffix = "-layer"
)

// keepRef is the name by which all archives of a host keep an image: an engine writes its whole list of names anew
// for each that it is given. It names the host, so that neither another installation nor another host of ours on the
// same engine ever takes it away. Of an archive that comes and one that goes at the same moment at least one sees the
// other in the store, for each is written there before it looks: the one that goes leaves a name that is needed, and
// the one that comes trusts no name of which one that goes may yet dispose.
func keepRef(hostID, imageID string) string {
	return archiveRepo + hostID + "-" + strings.TrimPrefix(imageID, "sha256:")
}

// ownRef is a name that one archive alone keeps its image by.
func ownRef(archiveID string) string { return archiveRepo + archiveID }

// layerRef is the name of the image of the writable layer.
func layerRef(archiveID string) string { return archiveRepo + archiveID + layerSuffix }
